package playbook

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// settings reads the keys that all sorts of tasks have, but for needs.
func (l *loader) settings(t *Task, f *syntax.Fields) {
	t.On = l.code(f.Get("on"), "on", t)
	t.At = l.code(f.Get("at"), "at", t)
	t.When = l.code(f.Get("when"), "when", t)
	t.ForEach = l.forEach(t, f.Get("for_each"))
	t.Run = l.run(f.Get("run"))
	t.Lock = l.lock(f.Get("lock"))
	t.Allow = l.allows(f.Get("allow"))
	t.Timeout = l.value(f.Get("timeout"), &shape.Type{Kind: shape.String, Format: "duration"}, own(t))
	t.MaxParallel = l.count(t, f.Get("max_parallel"), "max_parallel", 1)
	t.MaxFailures = l.count(t, f.Get("max_failures"), "max_failures", 0)
	t.AllowFailure, _ = f.Bool("allow_failure")
	t.Retry = l.retry(t, f.Get("retry"))
}

// forEach is an expression, or a list with expressions in it.
func (l *loader) forEach(t *Task, n *syntax.Node) *Value {
	list := &shape.Type{Kind: shape.List, Elem: &shape.Type{}}
	switch {
	case n == nil:
		return nil
	case n.Kind == syntax.Scalar:
		e := l.bare(n, "`for_each`")
		if e == nil {
			return nil
		}
		v := l.newValue(n, list, own(t), Single)
		v.Expr = e
		return v
	}
	return l.value(n, list, own(t))
}

func (l *loader) run(n *syntax.Node) Run {
	if n == nil {
		return OnSuccess
	}
	var words []string
	for r := OnSuccess; r <= OnDemand; r++ {
		if n.Kind == syntax.Scalar && n.Text == r.String() {
			return r
		}
		words = append(words, r.String())
	}
	d := l.diags.Errorf(n.Pos(), "`run` is one of %s, not %s", strings.Join(words, ", "), n.Describe())
	d.Len, d.Hint = n.Width(), diag.DidYouMean(n.Text, words)
	return OnSuccess
}

func (l *loader) lock(n *syntax.Node) string {
	if n == nil {
		return ""
	}
	if n.Kind != syntax.Scalar || !nameRE.MatchString(n.Text) {
		d := l.diags.Errorf(n.Pos(), "`lock` is the name of a lock (lower-case letters, digits and _), not %s", n.Describe())
		d.Len = n.Width()
		if fixed := fixName(n.Text); fixed != "" {
			d.Hintf("write `%s`", fixed)
		}
		if strings.Contains(n.Text, "${{") {
			d.Hintf("locks are known when the playbook is read: the name is plain text")
		}
		return ""
	}
	return n.Text
}

func (l *loader) retry(t *Task, n *syntax.Node) *Retry {
	if n == nil {
		return nil
	}
	duration := &shape.Type{Kind: shape.String, Format: "duration"}
	r := &Retry{Pos: n.Pos()}
	if n.Kind == syntax.Scalar { // retry: 3
		r.Attempts = l.atLeast(l.value(n, &shape.Type{Kind: shape.Int}, own(t)), "`retry`", 1)
		return r
	}
	f := syntax.Open(n, "`retry`", &l.diags).Known("attempts", "delay", "backoff", "max_delay", "until")
	r.Attempts = l.atLeast(l.value(f.Get("attempts"), &shape.Type{Kind: shape.Int}, own(t)), "`attempts`", 1)
	r.Delay = l.value(f.Get("delay"), duration, own(t))
	r.MaxDelay = l.value(f.Get("max_delay"), duration, own(t))
	r.Backoff = l.atLeast(l.value(f.Get("backoff"), &shape.Type{Kind: shape.Float}, own(t)), "`backoff`", 1)
	r.Until = l.code(f.Get("until"), "until", t)
	return r
}

func (l *loader) atLeast(v *Value, what string, least float64) *Value {
	if v == nil || v.Form != Literal || v.wrong {
		return v
	}
	if size, _ := measure(v.Plain); size < least {
		l.diags.Errorf(v.Pos, "%s must be at least %v", what, least).Len = v.Len
	}
	return v
}

var countRE = regexp.MustCompile(`^(\d{1,6})(%?)$`)

func (l *loader) count(t *Task, n *syntax.Node, key string, least int) *Count {
	if n == nil {
		return nil
	}
	v := l.value(n, &shape.Type{Kind: shape.String}, own(t))
	if v == nil {
		return nil
	}
	if text, ok := v.Plain.(string); ok && v.Form == Literal {
		number, _, err := parseCount(text)
		if err != nil || number < least {
			l.diags.Errorf(n.Pos(), "`%s` must be a number of hosts (at least %d) or a percentage such as 10%%, not %s", key, least, n.Describe()).Len = n.Width()
			return nil
		}
	}
	return &Count{Pos: v.Pos, Value: v}
}

func parseCount(text string) (n int, percent bool, err error) {
	m := countRE.FindStringSubmatch(text)
	if m == nil {
		return 0, false, fmt.Errorf("%q is neither a number nor a percentage", text)
	}
	n, _ = strconv.Atoi(m[1])
	if m[2] == "%" && n > 100 {
		return 0, false, fmt.Errorf("%q is more than all", text)
	}
	return n, m[2] == "%", nil
}

// Of is the number of hosts a count stands for among that many hosts. A percentage is rounded down; as max_parallel the
// caller makes it at least one. Errors: an expression that fails, or whose value is no count.
func (c *Count) Of(envs Envs, hosts int) (int, error) {
	v, err := c.Value.Resolve(Resolver{Envs: envs})
	if err != nil {
		return 0, err
	}
	n, percent, err := parseCount(fmt.Sprint(v.Value))
	if err != nil {
		return 0, diag.Diagnostic{Pos: c.Pos, Summary: err.Error()}
	}
	if percent {
		return hosts * n / 100, nil
	}
	return n, nil
}

// Timing are the settings of attempts, evaluated.
type Timing struct {
	Attempts int // 1 without `retry`
	Delay    time.Duration
	Backoff  float64 // at least 1
	MaxDelay time.Duration
	Timeout  time.Duration // 0 = none
}

// defaultAttempts is how often a task with `retry` is tried when it does not say.
const defaultAttempts = 3

// Timing evaluates retry and timeout. Errors: an expression that fails, or whose value is not of the type.
func (t *Task) Timing(envs Envs) (Timing, error) {
	out := Timing{Attempts: 1, Backoff: 1}
	e := evaluator{envs: envs}
	out.Timeout = e.duration(t.Timeout)
	if r := t.Retry; r != nil {
		out.Attempts = defaultAttempts
		if n, ok := e.scalar(r.Attempts).(int); ok {
			out.Attempts = max(1, n)
		}
		if x, ok := e.scalar(r.Backoff).(float64); ok {
			out.Backoff = max(1, x)
		}
		out.Delay, out.MaxDelay = e.duration(r.Delay), e.duration(r.MaxDelay)
	}
	return out, e.err
}

// evaluator keeps the first error.
type evaluator struct {
	envs Envs
	err  error
}

func (e *evaluator) scalar(v *Value) any {
	if v == nil || e.err != nil {
		return nil
	}
	r, err := v.Resolve(Resolver{Envs: e.envs})
	if err == nil && r.Value != nil {
		r.Value, err = shape.Scalar(v.Type, r.Value)
		if err != nil {
			err = diag.Diagnostic{Pos: v.Pos, Summary: err.Error()}
		}
	}
	e.err = err
	return r.Value
}

func (e *evaluator) duration(v *Value) time.Duration {
	text, _ := e.scalar(v).(string)
	d, _ := time.ParseDuration(text)
	return max(0, d)
}
