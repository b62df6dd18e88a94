package waitfor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec" //nolint:depguard // for ErrNotFound, which Host.Run documents; nothing is run with it
	"regexp"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// File is a file on the host.
type File struct {
	Path     string `json:"path" kf:"required,short,format=path" doc:"The file."`
	State    string `json:"state" kf:"enum=present|absent" default:"present" doc:"Whether it shall be there."`
	Contains string `json:"contains" doc:"Text it must contain."`
}

func (p *File) check() error    { return nil }
func (p *File) reads() []string { return []string{"path:" + p.Path} }
func (p *File) String() string  { return p.Path + " is " + p.State }

func (p *File) ask(ctx context.Context, h task.Host) (bool, string, error) {
	_, err := h.Lstat(ctx, p.Path)
	absent := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !absent:
		return false, "", err
	case p.State == "absent":
		return absent, "it is there", nil
	case absent:
		return false, "it is not there", nil
	case p.Contains == "":
		return true, "it is there", nil
	}
	b, err := h.ReadFile(ctx, p.Path)
	if err != nil {
		return false, err.Error(), nil
	}
	return strings.Contains(string(b), p.Contains), "it does not contain " + quoted(p.Contains), nil
}

// Command is a program that changes nothing.
type Command struct {
	Argv    []string `json:"argv" kf:"required,short,min=1" doc:"Program and arguments; no shell."`
	Code    []int    `json:"code" doc:"Expected exit codes; default: 0."`
	Matches string   `json:"matches" doc:"Regular expression its standard output must match."`
}

func (p *Command) reads() []string { return nil }
func (p *Command) String() string  { return "`" + strings.Join(p.Argv, " ") + "` ends as expected" }

func (p *Command) check() error {
	if _, err := regexp.Compile(p.Matches); err != nil {
		return task.Failf("matches: %w", err)
	}
	return nil
}

func (p *Command) ask(ctx context.Context, h task.Host) (bool, string, error) {
	o, seen, err := run(ctx, h, p.Argv)
	if seen != "" || err != nil {
		return false, seen, err
	}
	want := p.Code
	if len(want) == 0 {
		want = []int{0}
	}
	if !slices.Contains(want, o.Code) {
		return false, fmt.Sprintf("exit code %d: %s", o.Code, short(o.Tail(200))), nil
	}
	re, err := regexp.Compile(p.Matches)
	if err != nil {
		return false, "", err
	}
	return re.MatchString(o.Stdout), "its output is " + quoted(o.Text()), nil
}

// run runs a program; that it is not there may change while one waits.
func run(ctx context.Context, h task.Host, argv []string) (o task.Output, seen string, err error) {
	o, err = h.Run(ctx, task.Query(argv...))
	if errors.Is(err, exec.ErrNotFound) {
		return o, argv[0] + " is not on this host", nil
	}
	return o, "", err
}

// JSON is a value in the output of a program.
type JSON struct {
	Argv   []string `json:"argv" kf:"required,min=1" doc:"Program and arguments; it must not change anything."`
	Path   string   `json:"path" kf:"required" doc:"Where the value is: items[0].status.phase, conditions[type=Ready].status."`
	Equals any      `json:"equals" doc:"Value it must have; without it, the path must exist."`
}

func (p *JSON) reads() []string { return nil }

func (p *JSON) String() string {
	if p.Equals == nil {
		return p.Path + " is in the output of `" + strings.Join(p.Argv, " ") + "`"
	}
	return fmt.Sprintf("%s is %v in the output of `%s`", p.Path, p.Equals, strings.Join(p.Argv, " "))
}

func (p *JSON) check() error {
	if _, err := kube.ParsePath(p.Path); err != nil {
		return task.Failf("path: %w", err)
	}
	return nil
}

func (p *JSON) ask(ctx context.Context, h task.Host) (bool, string, error) {
	o, seen, err := run(ctx, h, p.Argv)
	if seen != "" || err != nil {
		return false, seen, err
	}
	if !o.OK() {
		return false, fmt.Sprintf("exit code %d: %s", o.Code, short(o.Tail(200))), nil
	}
	var v any
	if err := json.Unmarshal([]byte(o.Stdout), &v); err != nil {
		return false, "the output is not JSON: " + quoted(o.Text()), nil
	}
	if p.Equals == nil {
		path, err := kube.ParsePath(p.Path)
		if err != nil {
			return false, "", err
		}
		_, there := path.Get(v)
		return there, "there is no " + p.Path, nil
	}
	ok, seen := equal(v, p.Path, p.Equals)
	return ok, seen, nil
}
