package host

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// Clock is the time of the simulation.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Program is what a program does. It returns its exit code.
type Program func(p *Proc) int

// Proc is a program that runs.
type Proc struct {
	Host *Host
	Name string   // without directory
	Args []string // without the name
	Env  []string

	stdin    io.Reader
	ctx      context.Context
	out, err strings.Builder
	unknown  error
	repos    []repository // see Proc.repositories
}

// Printf writes to standard output, Errorf to standard error.
func (p *Proc) Printf(format string, args ...any) { fmt.Fprintf(&p.out, format, args...) }

// Errorf writes to standard error.
func (p *Proc) Errorf(format string, args ...any) { fmt.Fprintf(&p.err, format, args...) }

// Stdin reads standard input.
func (p *Proc) Stdin() string {
	if p.stdin == nil {
		return ""
	}
	b, err := io.ReadAll(p.stdin)
	if err != nil {
		return ""
	}
	return string(b)
}

// interrupted ends a program in the middle, where its context has ended: what it has done until then stays.
type interrupted struct{ cause error }

// Take lets time pass: about d, a little more or less by host and turn. When the program is ended meanwhile it does not
// return.
func (p *Proc) Take(d time.Duration) {
	if err := p.Host.take(p.ctx, p.Name, d); err != nil {
		panic(interrupted{err})
	}
}

func (h *Host) take(ctx context.Context, what string, d time.Duration) error {
	h.mu.Lock()
	h.runs++
	turn, slow := h.runs, h.slow
	h.mu.Unlock()
	const spread = 0.3
	part := float64(h.hash(what+strconv.FormatUint(turn, 10))%1000)/1000 - 0.5
	return h.o.Clock.Sleep(ctx, time.Duration(float64(d)*slow*(1+spread*part)))
}

// Fail writes to standard error and returns 1.
func (p *Proc) Fail(format string, args ...any) int {
	p.Errorf(format+"\n", args...)
	return 1
}

// Unknown says that the simulator does not know what the program does with these arguments.
func (p *Proc) Unknown() int {
	p.unknown = &UnknownError{Host: p.Host.Name, Argv: append([]string{p.Name}, p.Args...)}
	return 127
}

// UnknownError says that the simulator has not been taught a program, or arguments of it.
type UnknownError struct {
	Host string
	Argv []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the simulator does not know what `%s` does (on %s): say it with `simulate:` at a command, or teach it in engine/sim",
		strings.Join(e.Argv, " "), e.Host)
}

// path is where programs are looked up, as agents do.
func searchPath() []string {
	return []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
}

// Which finds a program; "" when it is not there.
func (h *Host) Which(name string) string {
	if strings.Contains(name, "/") {
		if h.Exists(name) {
			return name
		}
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.o.Texts.spots(&h.o.Texts.programs, searchPath, name) {
		switch n := h.files.get(s.id); {
		case n != nil && n.mode&fs.ModeSymlink == 0:
			return s.path
		case n == nil && h.files.get(s.dir).isDir():
		case h.files.exists(s.path):
			return s.path
		}
	}
	return ""
}

// Run executes a program.
func (h *Host) Run(ctx context.Context, c task.Command) (o task.Output, err error) {
	if ctx.Err() != nil {
		return o, context.Cause(ctx)
	}
	name := c.Argv[0]
	if h.Which(name) == "" {
		return o, &exec.Error{Name: name, Err: exec.ErrNotFound}
	}
	p := &Proc{Host: h, Name: path.Base(name), Args: c.Argv[1:], Env: c.Env, stdin: c.Stdin, ctx: ctx}
	f := h.o.Programs[p.Name]
	if f == nil {
		f = h.o.Image.programs[p.Name]
	}
	if f == nil {
		return o, &UnknownError{Host: h.Name, Argv: c.Argv}
	}
	h.count(p.Name, 1)
	defer h.count(p.Name, -1)
	return p.run(f)
}

func (p *Proc) run(f Program) (o task.Output, err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case interrupted:
			o, err = task.Output{Stdout: p.out.String(), Stderr: p.err.String()}, v.cause
		default:
			panic(v)
		}
	}()
	code := f(p)
	return task.Output{Code: code, Stdout: p.out.String(), Stderr: p.err.String()}, p.unknown
}

// Call runs a program from within another, and shows what it says.
func (p *Proc) Call(argv ...string) int {
	o, err := p.Host.Run(p.ctx, task.Cmd(argv...))
	if err != nil {
		if p.ctx.Err() != nil {
			panic(interrupted{context.Cause(p.ctx)})
		}
		p.Errorf("%v\n", err)
		return 127
	}
	p.out.WriteString(o.Stdout)
	p.err.WriteString(o.Stderr)
	return o.Code
}

func (h *Host) count(name string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running[name] += n
}

// Flags splits arguments into flags and words. Those of with take a value in the next argument, unless it is written
// after =. Everything behind -- is words.
func (p *Proc) Flags(with ...string) (flags map[string]string, words []string) {
	for i := 0; i < len(p.Args); i++ {
		a := p.Args[i]
		if a == "--" {
			return flags, append(words, p.Args[i:]...)
		}
		if a == "-" || a == "" || a[0] != '-' {
			words = append(words, a)
			continue
		}
		name, value, given := strings.Cut(a, "=")
		for _, w := range with {
			if w == name && !given && i+1 < len(p.Args) {
				i++
				value = p.Args[i]
			}
		}
		if flags == nil {
			flags = map[string]string{}
		}
		flags[name] = value
	}
	return flags, words
}

func firstWord(s string) string {
	f := strings.Fields(s)
	if len(f) == 0 {
		return ""
	}
	return f[0]
}

func cutLine(s string) (first, rest string, ok bool) { return strings.Cut(s, "\n") }
