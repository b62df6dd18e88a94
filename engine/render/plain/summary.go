package plain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/event"
)

// tally counts results, of all and by host.
type tally struct {
	all    map[event.Status]int
	byHost map[string]map[event.Status]int
	roots  []event.Root // failures in order, for a run_ended that names none
}

func newTally() tally {
	return tally{all: map[event.Status]int{}, byHost: map[string]map[event.Status]int{}}
}

func (t *tally) add(e event.Event) {
	t.all[e.Status]++
	if t.byHost[e.Host] == nil {
		t.byHost[e.Host] = map[event.Status]int{}
	}
	t.byHost[e.Host][e.Status]++
	if failed(e.Status) && !e.Allowed {
		t.roots = append(t.roots, event.Root{Instance: e.Instance, Status: e.Status, Pos: e.Pos, Failure: e.Failure})
	}
}

// order is the order of results in a summary.
func order() []event.Status {
	return []event.Status{event.OK, event.Changed, event.Reused, event.Skipped, event.Blocked, event.Failed,
		event.Unreachable, event.TimedOut, event.Cancelled, event.Unknown}
}

// The exit codes that are told apart; after all of them but exitLocked a run can be resumed (DESIGN section 8).
const (
	exitFailed      = 3
	exitUnreachable = 4
	exitLocked      = 5
	exitInterrupted = 130
)

// ended shows the summary.
func (r *Renderer) ended(e event.Event) {
	r.flush(func(*group) bool { return true })
	counts := e.Counts
	if counts == nil {
		counts = r.tally.all
	}
	roots := e.Roots
	if roots == nil {
		roots = r.tally.roots
	}
	r.out.WriteString("\n")
	r.table()
	r.roots(roots)
	word, c := outcome(e.Exit)
	fmt.Fprintf(&r.out, "%s after %s: %s\n", r.paint(c, word), duration(e.Duration), numbers(counts))
	if e.Left > 0 {
		fmt.Fprintf(&r.out, "left out, and still to be done: %s\n", count(e.Left, "instance"))
	}
	if r.run != "" && (e.Left > 0 || e.Exit == exitFailed || e.Exit == exitUnreachable || e.Exit == exitInterrupted) {
		fmt.Fprintf(&r.out, "to go on from here: kflow resume %s\n", r.run)
	}
}

func outcome(exit int) (string, color) {
	switch exit {
	case 0:
		return "done", colorGood
	case exitInterrupted:
		return "interrupted", colorWarn
	case exitLocked:
		return "refused", colorWarn
	}
	return "failed", colorBad
}

// numbers are the counts on one line. That nothing changed is said, as it is what a second run is made for.
func numbers(counts map[event.Status]int) string {
	var parts []string
	for _, s := range order() {
		if counts[s] > 0 || s == event.Changed {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return strings.Join(parts, ", ")
}

// roots shows the failures that ended something, and how much. The same failure of a task on many hosts is one line. So
// is a host that was not reached, whatever was to be done there, with the other hosts that were not reached for that reason.
func (r *Renderer) roots(roots []event.Root) {
	atHost := map[string]string{} // host that was not reached -> what was to be done there
	for _, root := range roots {
		if task, host := taskAndHost(root); root.Status == event.Unreachable {
			atHost[host] += task + "\x00"
		}
	}
	var order []string
	same := map[string][]event.Root{}
	for _, root := range roots {
		task, host := taskAndHost(root)
		about := task + "\x00" + root.Pos
		if root.Status == event.Unreachable && host != "" {
			about = atHost[host]
		}
		key := strings.Join([]string{string(root.Status), about, failureText(host, root.Failure)}, "\x00\x00")
		if same[key] == nil {
			order = append(order, key)
		}
		same[key] = append(same[key], root)
	}
	for _, key := range order {
		r.root(same[key])
	}
}

// taskAndHost takes a root apart. One that ended the run before it began is a host alone.
func taskAndHost(root event.Root) (task, host string) {
	task, host, ok := strings.Cut(root.Instance, "@")
	if !ok {
		return "", root.Instance
	}
	return task, host
}

// root shows roots that are the same but for their hosts, and for their tasks where those were not reached.
func (r *Renderer) root(same []event.Root) {
	blocked := 0
	var tasks, hosts []string
	for _, root := range same {
		task, host := taskAndHost(root)
		tasks, hosts, blocked = append(tasks, task), append(hosts, host), blocked+root.Blocked
	}
	first := same[0]
	text := failureText(hosts[0], first.Failure)
	if blocked > 0 {
		text += " (blocked " + count(blocked, "instance") + ")"
	}
	word := string(first.Status)
	if inUse(first.Failure) {
		word = "locked"
	}
	r.line(word, colorOf(first.Status), aboutRoots(first, unique(tasks), unique(hosts), len(same)), 0, strings.TrimSpace(text))
}

// aboutRoots names n roots by what they have in common.
func aboutRoots(first event.Root, tasks, hosts []string, n int) string {
	if n == 1 {
		return withPos(first.Instance, first.Pos)
	}
	where := count(len(hosts), "host") + ": " + hostList(hosts)
	switch {
	case len(tasks) == 1 && tasks[0] == "":
		return where
	case len(tasks) == 1:
		return withPos(tasks[0]+"  "+where, first.Pos)
	case len(hosts) == 1:
		where = hosts[0]
	}
	return where + "  " + count(n, "instance")
}

func withPos(about, pos string) string {
	if pos == "" {
		return about
	}
	return about + "  " + pos
}

func unique(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// table shows the hosts on which something did not succeed; hosts with equal numbers share a row.
func (r *Renderer) table() {
	rows := map[string][]string{}
	for host, byStatus := range r.tally.byHost {
		if troubled(byStatus) {
			text := numbers(byStatus)
			rows[text] = append(rows[text], host)
		}
	}
	if len(rows) == 0 {
		return
	}
	names, width := map[string]string{}, 0
	for text, hosts := range rows {
		names[text] = hostList(hosts)
		width = max(width, len(names[text]))
	}
	sorted := make([]string, 0, len(rows))
	for text := range rows {
		sorted = append(sorted, text)
	}
	slices.SortFunc(sorted, func(a, b string) int { return strings.Compare(names[a], names[b]) })
	for _, text := range sorted {
		fmt.Fprintf(&r.out, "%-*s  %s\n", min(width, 40), names[text], text)
	}
}

func troubled(counts map[event.Status]int) bool {
	for s, n := range counts {
		if n > 0 && (failed(s) || s == event.Blocked) {
			return true
		}
	}
	return false
}
