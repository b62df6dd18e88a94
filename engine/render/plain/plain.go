// Package plain shows a run as lines of text: for people whose terminal is a log, and for CI. It reads events alone.
//
//	run 20261121-131501-ab3f  ha-containerd (playbooks/ha-containerd.yaml)  5 hosts, 42 tasks, 180 instances
//	ok        node/hostname  5 hosts: k8s-mn[01-03] k8s-wn[01-02]
//	changed   node/kernel@k8s-mn01  0.8s  write /etc/sysctl.d/90-kubernetes.conf (+2 more)
//
// # One line per result, many hosts in one
//
// Results of one task that are the same (status, and what was changed) within a short window become one line, which is
// written when the window closes, or as soon as all hosts of the run are in it. What a person must see is never held
// back: the first failure of a kind is written at once, with all that is known, behind what was waiting; its repetitions
// on other hosts are folded like any other result. Instances that never started, blocked or cancelled, are counted at
// the end and not listed: their cause is.
//
// # Text from hosts
//
// Output of commands may hold anything. Control characters are taken out, so that a host can't move the cursor, change
// the title, or pass off its output as ours.
package plain

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// DefaultWindow is how long a result waits for others like it.
const DefaultWindow = time.Second

// progressEvery is the least time between two lines of progress of one instance.
const progressEvery = 10 * time.Second

// Options of a Renderer.
type Options struct {
	Color   bool          // use colours (the caller looks at NO_COLOR and at the terminal)
	Stream  bool          // show the output of running commands as it comes
	Verbose bool          // Stream, and also starts, log lines, diffs and blocked instances
	Window  time.Duration // 0 = DefaultWindow, negative = no folding
}

// Renderer is an event.Sink that writes lines. It is safe for concurrent use: a timer writes too.
type Renderer struct {
	mu     sync.Mutex
	w      io.Writer
	err    error
	o      Options
	out    strings.Builder // what the event at hand writes
	run    string
	hosts  int
	live   map[string]*live
	groups []*group // results that wait for others like them
	timer  *time.Timer
	seen   map[string]string // failures shown in full: what is the same about them -> instance or host
	lostOn map[string]string // host -> why it was said to be lost
	tally  tally
}

// live is what is known of an instance between its start and its end.
type live struct {
	started  bool
	first    string // summary of its first change
	changes  int
	tail     []string // last lines of output
	progress time.Time
}

// New returns a Renderer that writes to w.
func New(w io.Writer, o Options) *Renderer {
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	o.Stream = o.Stream || o.Verbose
	return &Renderer{w: w, o: o, live: map[string]*live{}, seen: map[string]string{},
		lostOn: map[string]string{}, tally: newTally()}
}

// Emit shows e.
func (r *Renderer) Emit(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Type {
	case event.RunStarted:
		r.started(e)
	case event.RunEnded:
		r.ended(e)
	case event.HostUp:
		r.fold(&group{status: "connected", same: "connected", hosts: []string{e.Host}, dur: e.Duration})
	case event.HostLost:
		r.lost(e)
	case event.Note:
		r.line("note", colorNone, clean(e.Line), 0, "")
	default:
		r.instance(e)
	}
	r.write()
}

func (r *Renderer) instance(e event.Event) {
	l := r.live[e.Instance]
	if l == nil {
		l = &live{}
		r.live[e.Instance] = l
	}
	switch e.Type {
	case event.InstanceStarted:
		l.started, l.first, l.changes, l.tail = true, "", 0, nil
		if r.o.Verbose {
			r.line("start", colorQuiet, e.Instance, 0, attempt(e.Attempt))
		}
	case event.Change:
		r.change(e, l)
	case event.Output:
		r.output(e, l)
	case event.Log:
		if r.o.Verbose {
			r.prefixed(e.Instance, e.Line)
		}
	case event.Progress:
		r.progress(e, l)
	case event.Waiting:
		r.line("waiting", colorQuiet, e.Instance, 0, clean(e.Line))
	case event.AttemptFailed:
		r.retry(e)
	case event.InstanceEnded:
		delete(r.live, e.Instance)
		r.result(e, l)
	}
}

func (r *Renderer) started(e event.Event) {
	r.run, r.hosts = e.Run, e.Hosts
	word := "run"
	if e.Resumed {
		word = "resume"
	}
	name := e.Name
	if name == "" {
		name = e.Playbook
	} else if e.Playbook != "" {
		name += " (" + e.Playbook + ")"
	}
	size := []string{count(e.Hosts, "host"), count(e.Tasks, "task")}
	if e.Instances > 0 {
		size = append(size, count(e.Instances, "instance"))
	}
	fmt.Fprintf(&r.out, "%s %s  %s  %s\n", word, e.Run, clean(name), strings.Join(size, ", "))
}

func (r *Renderer) change(e event.Event, l *live) {
	if l.changes++; l.changes == 1 {
		l.first = e.Summary
	}
	if !r.o.Verbose {
		return
	}
	r.line("change", colorWarn, e.Instance, 0, clean(e.Summary))
	for line := range strings.Lines(e.Diff) {
		r.out.WriteString("    " + strings.TrimSuffix(Text(line), "\n") + "\n")
	}
}

// tailLines is how many of the last lines of output are kept for a failure.
const tailLines = 20

func (r *Renderer) output(e event.Event, l *live) {
	if len(l.tail) >= tailLines {
		l.tail = append(l.tail[:0], l.tail[1:]...)
	}
	l.tail = append(l.tail, e.Line)
	if r.o.Stream {
		r.prefixed(e.Instance, e.Line)
	}
}

func (r *Renderer) prefixed(instance, line string) {
	for part := range strings.Lines(line) {
		fmt.Fprintf(&r.out, "%s | %s\n", clean(instance), clean(part))
	}
}

func (r *Renderer) progress(e event.Event, l *live) {
	if l.progress.IsZero() {
		l.progress = e.Time
	}
	if e.Time.Sub(l.progress) < progressEvery {
		return
	}
	l.progress = e.Time
	text := e.What
	if e.Total > 0 {
		text += fmt.Sprintf(" %d%%", min(100, 100*e.Done/e.Total))
	}
	text = clean(text)
	task, host, _ := strings.Cut(e.Instance, "@") // which is all that such an event has
	r.fold(&group{same: strings.Join([]string{"running", task, text}, "\x00"), status: "running", color: colorQuiet,
		task: task, instance: e.Instance, hosts: []string{host}, detail: text})
}

// result shows the end of an instance: failures at once, all else folded.
func (r *Renderer) result(e event.Event, l *live) {
	r.tally.add(e)
	if failed(e.Status) {
		r.failure(e, l)
		return
	}
	g := &group{status: string(e.Status), color: colorOf(e.Status), task: e.Task, instance: e.Instance,
		hosts: []string{e.Host}, dur: e.Duration}
	switch e.Status {
	case event.Changed:
		g.detail = l.summary(e.Changes)
		g.many = forAll(g.detail, e.Host)
	case event.Skipped:
		if e.When != "" {
			g.detail = "when: " + clean(e.When)
		}
	case event.Cancelled:
		if !l.started && !r.o.Verbose {
			return
		}
		g.detail = failureText(e.Host, e.Failure)
	case event.Blocked:
		if !r.o.Verbose {
			return
		}
		g.detail = "by " + strings.Join(e.BlockedBy, ", ")
	}
	g.same = strings.Join([]string{g.status, g.task, cmp.Or(g.many, g.detail)}, "\x00")
	if e.Status == event.Reused {
		g.same = g.status
	}
	r.fold(g)
}

// summary is the first change and how many more there were.
func (l *live) summary(changes int) string {
	changes = max(changes, l.changes)
	if l.first == "" || changes <= 1 {
		return clean(l.first)
	}
	return fmt.Sprintf("%s (+%d more)", clean(l.first), changes-1)
}

// line writes one line: status word, what it is about, how long, details. Empty parts are left out.
func (r *Renderer) line(word string, c color, about string, d time.Duration, detail string) {
	r.out.WriteString(r.paint(c, word) + strings.Repeat(" ", max(0, wordWidth-len(word))) + "  " + about)
	if d > 0 {
		r.out.WriteString("  " + duration(d))
	}
	if detail != "" {
		r.out.WriteString("  " + detail)
	}
	r.out.WriteString("\n")
}

// write sends what has been collected, in one write.
func (r *Renderer) write() {
	if r.err == nil && r.out.Len() > 0 {
		_, r.err = io.WriteString(r.w, r.out.String())
	}
	r.out.Reset()
}

// Close writes what is waiting, and returns the first error that writing met.
func (r *Renderer) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush(func(*group) bool { return true })
	r.write()
	return r.err
}
