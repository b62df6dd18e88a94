// Package command is the kind command: a program, for what no kind does.
package command

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/notyet"
	"github.com/kflow/kflow/tasks/internal/program"
)

// maxOutput is how much of standard output and standard error is kept, each.
const maxOutput = 64 << 10

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "command",
		Summary: "Runs a program, for what no kind does",
		Doc: `Arguments are passed as they are: there is no shell, and so no quoting, unless ` + "`shell: true`" + `. A command says when
there is nothing to do (` + "`creates`" + `, ` + "`unless`" + `), or is ` + "`read_only`" + ` (it runs in a plan too and never counts as a change; what
it does not find there yet is known after the tasks that it needs), or
is an action: it runs once per run and is reported as such. An action that a crash has left unknown stops its host on
resume, unless ` + "`rerun: safe`" + `. State what it touches with ` + "`reads`" + ` and ` + "`writes`" + `: the race check of validate looks at
that. Look for a kind first: file, sysctl, systemd or kubectl know what changes, a command does not.`,
		New:     func() task.Task { return new(Command) },
		Outputs: Outputs{},
		Examples: []task.Example{{
			Title: "A command with a guard",
			YAML: `- id: bridge
  command:
    argv: [nmcli, connection, add, type, bridge, ifname, br0]
    unless: [nmcli, connection, show, bridge-br0]
`,
		}, {
			Title: "A question, and a shell",
			YAML: `- id: members
  command:
    argv: etcdctl member list | wc -l
    shell: true
    read_only: true
`,
		}},
	}
}

// Outputs of a command. Standard output and standard error are empty when the command is secret or did not run.
type Outputs struct {
	Ran    bool   `json:"ran" doc:"Whether it ran; false where creates or unless said that there is nothing to do."`
	Code   int    `json:"code" doc:"Exit code."`
	Stdout string `json:"stdout" doc:"Standard output, without white space at its ends; of more than 64 KiB the middle is cut out."`
	Stderr string `json:"stderr" doc:"Standard error, cut in the same way."`
}

// Command are the parameters.
type Command struct {
	Argv     task.Strings      `json:"argv" kf:"required,short,min=1" doc:"Program and arguments, a list; with shell: true a single text, run by /bin/sh -c."`
	Shell    bool              `json:"shell" doc:"Run argv, then a single text, with /bin/sh -c; also unless, if it is a single text."`
	Creates  string            `json:"creates" kf:"format=path" doc:"Path of a file or directory; the command does not run where it exists."`
	Unless   task.Strings      `json:"unless" doc:"A command that changes nothing; where it ends with exit code 0 there is nothing to do."`
	ReadOnly bool              `json:"read_only" doc:"The command changes nothing: it runs in a plan too, at each look at the host, and never counts as a change."`
	Env      map[string]string `json:"env" doc:"Environment variables, added to PATH, HOME, USER and LC_ALL."`
	Dir      string            `json:"dir" kf:"format=path" default:"/" doc:"Directory to run in."`
	Stdin    string            `json:"stdin" doc:"Text for standard input."`
	Expect   []int             `json:"expect" doc:"Exit codes that are a success; 0 alone if not given."`
	Secret   bool              `json:"secret" doc:"Arguments and output are secret: never shown, and no outputs but the exit code."`
	Rerun    string            `json:"rerun" kf:"enum=safe" doc:"safe: running it twice does no harm, so a resumed run may repeat it where nobody knows whether it ended."`
	Reads    task.Strings      `json:"reads" doc:"What it reads, for the race check: absolute paths, or unit:NAME, package:NAME, .."`
	Writes   task.Strings      `json:"writes" doc:"What it changes, for the race check: absolute paths, or unit:NAME, package:NAME, .."`
	Simulate any               `json:"simulate" doc:"What kflow simulate answers for this command; not looked at elsewhere."`

	result Outputs
}

// Check implements task.Checker.
func (p *Command) Check() error {
	switch {
	case p.Shell && len(p.Argv) > 1:
		return task.Failf("with shell: true argv is a single text, not a list of %d", len(p.Argv))
	case !p.Shell && len(p.Argv) == 1 && strings.ContainsAny(strings.TrimSpace(p.Argv[0]), " |;&<>$\n"):
		return task.Failf("%q is not the name of a program", p.Argv[0]).
			WithHint("write a list, [program, argument, ..], or add `shell: true`")
	case p.ReadOnly && (p.Creates != "" || len(p.Unless) > 0):
		return task.Failf("read_only excludes creates and unless: such a command has nothing to guard")
	}
	return nil
}

// Action implements task.Actor.
func (p *Command) Action() bool { return !p.ReadOnly && p.Creates == "" && len(p.Unless) == 0 }

// Looks implements task.Looker.
func (p *Command) Looks() bool { return p.ReadOnly }

// Repeatable implements task.Repeater.
func (p *Command) Repeatable() bool { return p.Rerun == "safe" }

// Touches implements task.Toucher.
func (p *Command) Touches() task.Touches {
	t := task.Touches{Reads: resources(p.Reads), Writes: resources(p.Writes)}
	if p.Creates != "" {
		t.Writes = append(t.Writes, "path:"+p.Creates)
	}
	return t
}

func resources(names []string) (out []string) {
	for _, name := range names {
		if path.IsAbs(name) {
			name = "path:" + name
		}
		out = append(out, name)
	}
	return out
}

// Changes implements task.Task.
func (p *Command) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if p.ReadOnly {
		return nil, p.run(ctx, h)
	}
	if done, err := p.done(ctx, h); done || err != nil {
		return nil, err
	}
	return []task.Change{{Summary: "run " + p.name(), Apply: p.run}}, nil
}

// done tells whether a guard says that there is nothing to do.
func (p *Command) done(ctx context.Context, h task.Host) (bool, error) {
	if p.Creates != "" {
		if there, err := hostfile.Exists(ctx, h, p.Creates); there || err != nil {
			return there, err
		}
	}
	if len(p.Unless) == 0 {
		return false, nil
	}
	c := p.command(p.Unless)
	c.ReadOnly, c.Stdin = true, nil
	_, ok, err := program.Try(ctx, h, c)
	return ok, err
}

// maxName is how much of a command line is shown, in bytes.
const maxName = 120

// name is the command line for people. What is too long is left out from an argument on, in a shell's text from a word on: a
// secret that was cut through would not be known as one.
func (p *Command) name() string {
	if p.Secret {
		return "a secret command"
	}
	s := strings.Join(p.Argv, " ")
	more := ""
	if first, _, lines := strings.Cut(s, "\n"); lines {
		s, more = first, " .."
	}
	if len(s)+len(more) > maxName {
		s, more = s[:p.boundary(s)], " ..."
	}
	return "`" + strings.TrimSpace(s+more) + "`"
}

// boundary is where a command line is cut: behind the last whole argument that there is room for, or in a text for a shell
// before the last blank that is in no quotes.
func (p *Command) boundary(s string) int {
	const room = maxName - len(" ...")
	last := 0
	if !p.Shell {
		end := -1
		for _, arg := range p.Argv {
			if end += 1 + len(arg); end > min(room, len(s)) {
				break
			}
			last = end
		}
		return last
	}
	var quote byte
	for i := range room {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '\'' || c == '"':
			quote = c
		case c == ' ':
			last = i
		}
	}
	return last
}

// line is a command line for people; what is given to a shell is one already.
func (p *Command) line(argv []string) string {
	if p.Shell && len(argv) == 1 {
		return argv[0]
	}
	return task.Line(argv)
}

func (p *Command) command(argv []string) task.Command {
	if p.Shell && len(argv) == 1 {
		argv = []string{"/bin/sh", "-c", argv[0]}
	}
	c := task.Command{Argv: argv, Dir: p.Dir, Secret: p.Secret, MaxBytes: maxOutput}
	for _, key := range slices.Sorted(maps.Keys(p.Env)) {
		c.Env = append(c.Env, key+"="+p.Env[key])
	}
	return c
}

func (p *Command) run(ctx context.Context, h task.Host) error {
	c := p.command(p.Argv)
	c.ReadOnly, c.Stream = p.ReadOnly, !p.ReadOnly && !p.Secret
	if p.Stdin != "" {
		c = c.WithStdin(p.Stdin)
	}
	o, err := h.Run(ctx, c)
	if program.Missing(err) {
		return notyet.Failf("program:"+p.Argv[0], "there is no program %s", p.Argv[0]).
			WithHint("let this task need the one that installs it; programs are looked up in PATH")
	}
	if err != nil {
		return err
	}
	p.result = Outputs{Ran: true, Code: o.Code}
	if !p.Secret {
		p.result.Stdout, p.result.Stderr = o.Text(), strings.TrimSpace(o.Stderr)
	}
	if err := p.judge(o); err != nil || p.ReadOnly {
		return err
	}
	return p.effect(ctx, h)
}

// effect looks whether the guard says now that there is nothing more to do.
func (p *Command) effect(ctx context.Context, h task.Host) error {
	if p.Action() {
		return nil
	}
	done, err := p.done(ctx, h)
	switch {
	case done || err != nil:
		return err
	case p.Creates != "":
		return task.Failf("%s has ended, and %s is not there", p.name(), p.Creates).
			WithHint("creates names what the command makes: is the path right, or does the command say in its output why it made nothing?")
	}
	guard := "its guard"
	if !p.Secret {
		guard = "`" + p.line(p.Unless) + "`"
	}
	return task.Failf("%s has ended, and %s still says that there is something to do", p.name(), guard).
		WithHint("unless must succeed once the command has run: try both on the host; a service may need a moment (a `wait-for` after it, and `retry`)")
}

func (p *Command) judge(o task.Output) error {
	if slices.Contains(p.Expect, o.Code) || len(p.Expect) == 0 && o.OK() {
		return nil
	}
	f := task.Failf("%s ended with exit code %d", p.name(), o.Code)
	if len(p.Expect) > 0 {
		f = task.Failf("%s ended with exit code %d, expected %s", p.name(), o.Code, strings.Trim(fmt.Sprint(p.Expect), "[]"))
	}
	if p.Secret {
		return f.WithHint("its output is not shown, since the command is secret")
	}
	return f.WithOutput(o).WithHint("%s", p.why(o))
}

// why is what an exit code means that has a meaning; "" for others.
func (p *Command) why(o task.Output) string {
	const notExecutable, notFound = 126, 127
	switch {
	case p.Shell && o.Code == notFound:
		return "the shell did not find a program: it looks in the PATH of root, not in that of a person; write its path, or set PATH in env"
	case p.Shell && o.Code == notExecutable:
		return "the shell may not execute a program: its mode (chmod +x), or a file system mounted noexec"
	}
	return o.Killed()
}

// Outputs implements task.Outputter.
func (p *Command) Outputs(context.Context, task.Host) (any, error) { return p.result, nil }

// Interface guards.
var (
	_ task.Checker   = (*Command)(nil)
	_ task.Actor     = (*Command)(nil)
	_ task.Looker    = (*Command)(nil)
	_ task.Toucher   = (*Command)(nil)
	_ task.Outputter = (*Command)(nil)
)
