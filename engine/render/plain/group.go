package plain

import (
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/render/fold"
)

// group is a result, and those like it.
type group struct {
	same     string // equal in all that belong together
	status   string
	color    color
	task     string
	tasks    map[string]bool // when they differ
	instance string          // the first one
	hosts    []string
	count    int
	detail   string
	many     string        // the detail of several hosts, when it names the host; "" = detail
	dur      time.Duration // the longest
	until    time.Time     // on the clock of this process
}

// fold puts a result to those like it, or starts a group that waits for them.
func (r *Renderer) fold(g *group) {
	g.count, g.tasks = 1, map[string]bool{g.task: true}
	if r.o.Window < 0 {
		r.show(g)
		return
	}
	i := slices.IndexFunc(r.groups, func(have *group) bool { return have.same == g.same })
	if i < 0 {
		g.until = time.Now().Add(r.o.Window)
		r.groups = append(r.groups, g)
		i = len(r.groups) - 1
	} else {
		r.groups[i].join(g)
	}
	if all := r.groups[i]; r.hosts > 0 && len(all.tasks) == 1 && all.status != "reused" && all.count >= r.hosts {
		r.flush(func(have *group) bool { return have == all })
	}
	r.arm()
}

func (g *group) join(other *group) {
	g.hosts = append(g.hosts, other.hosts...)
	g.count++
	g.tasks[other.task] = true
	g.dur = max(g.dur, other.dur)
}

// arm starts the timer that closes the oldest window.
func (r *Renderer) arm() {
	if r.timer != nil || len(r.groups) == 0 {
		return
	}
	r.timer = time.AfterFunc(time.Until(r.groups[0].until), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.timer = nil
		now := time.Now()
		r.flush(func(g *group) bool { return !g.until.After(now) })
		r.write()
		r.arm()
	})
}

// flush shows the groups that are due and forgets them.
func (r *Renderer) flush(due func(*group) bool) {
	kept := r.groups[:0]
	for _, g := range r.groups {
		if due(g) {
			r.show(g)
		} else {
			kept = append(kept, g)
		}
	}
	clear(r.groups[len(kept):])
	r.groups = kept
	if len(kept) == 0 && r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

func (r *Renderer) show(g *group) {
	switch {
	case len(g.tasks) > 1:
		r.line(g.status, g.color, count(g.count, "instance")+" of "+count(len(g.tasks), "task"), 0, g.detail)
	case g.count == 1 && g.task != "":
		r.line(g.status, g.color, g.instance, g.dur, g.detail)
	case g.count == 1:
		r.line(g.status, g.color, g.hosts[0], g.dur, g.detail)
	default:
		if g.many != "" {
			g.detail = g.many
		}
		about := count(g.count, "host") + ": " + hostList(g.hosts)
		if g.task != "" {
			about = g.task + "  " + about
		}
		if g.dur >= time.Second {
			about += "  up to " + duration(g.dur)
		}
		r.line(g.status, g.color, about, 0, g.detail)
	}
}

// placeholder stands for the name of each host in a detail that would else be another one for each: a host name that is set.
const placeholder = "<host>"

// forAll is a detail without the name of its host, "" when it does not have it.
func forAll(detail, host string) string {
	words := strings.Split(detail, " ")
	found := false
	for i, w := range words {
		if host != "" && w == host {
			words[i], found = placeholder, true
		}
	}
	if !found {
		return ""
	}
	return strings.Join(words, " ")
}

// maxGroups is the number of folded names on a line; names without a common part would fill the screen.
const maxGroups = 8

func hostList(hosts []string) string {
	groups := fold.Groups(hosts)
	if len(groups) > maxGroups {
		groups = append(groups[:maxGroups:maxGroups], "…")
	}
	return strings.Join(groups, " ")
}
