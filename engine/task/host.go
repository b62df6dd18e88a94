package task

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"
)

// Host is all of a machine that a kind may touch. Implementations: engine/host (the machine this process runs on),
// engine/sim (a simulated machine), tasktest (a fake for tests of kinds), and the decorator ReadOnly.
//
// All methods may be called concurrently. Paths are absolute. File errors satisfy errors.Is with fs.ErrNotExist,
// fs.ErrPermission and so on.
type Host interface {
	FS

	// Run executes a program and waits for it. A program that ends with an exit code other than 0 is no error of Run:
	// look at Output.Code, or use the helper Must. Errors: ErrReadOnly, exec.ErrNotFound for a program that is not there,
	// the cause of ctx.
	Run(ctx context.Context, c Command) (Output, error)

	// Facts are what is known of the machine; they were gathered when it was reached. Not to be modified.
	Facts() *Facts

	// Open reads content that the controller holds: inline text, or a file by its hash, which is transferred unless
	// the machine has it already.
	Open(ctx context.Context, c Content) (io.ReadCloser, error)

	// Controller is the machine kflow runs on, as far as a task may use it (fetch, downloads through the controller).
	Controller() Controller

	// Dial opens a connection from the machine. network is "tcp", "udp" or "unix".
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// HTTP sends requests from the machine; proxies from the machine's environment are honoured.
	HTTP() http.RoundTripper

	// Now and Sleep are the machine's time; tasks know no other clock, so that it can be simulated. Sleep returns early,
	// with the cause, when ctx ends.
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error

	// Log shows a line to people while the task runs. Progress shows how far something long is (total 0: unknown).
	Log(line string)
	Progress(what string, done, total int64)
}

// FS is the file system of a host.
type FS interface {
	// ReadFile reads a whole file of at most 64 MiB; use OpenFile for larger ones.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	OpenFile(ctx context.Context, path string) (io.ReadCloser, error)
	// Stat follows symbolic links, Lstat does not.
	Stat(ctx context.Context, path string) (FileInfo, error)
	Lstat(ctx context.Context, path string) (FileInfo, error)
	ReadDir(ctx context.Context, path string) ([]FileInfo, error)
	Glob(ctx context.Context, pattern string) ([]string, error)

	// WriteFile replaces a file atomically (temporary file in the same directory, fsync, rename); a reader sees the old
	// or the new content, never a part. A symbolic link at path is followed. The directory must exist.
	WriteFile(ctx context.Context, path string, r io.Reader, a Attr) error
	// MkdirAll makes a directory and its parents; a sets mode and owner of those it makes.
	MkdirAll(ctx context.Context, path string, a Attr) error
	// SetAttr changes mode and owner of what is there.
	SetAttr(ctx context.Context, path string, a Attr) error
	// Symlink makes (or atomically replaces) a symbolic link at path that points to target.
	Symlink(ctx context.Context, target, path string) error
	Rename(ctx context.Context, from, to string) error
	// Remove removes a file, a link or a directory with all below it; that it is not there is no error.
	Remove(ctx context.Context, path string) error
}

// Attr is mode and owner of a file. Zero fields mean: keep what is there, and for a new file 0644 (directories 0755),
// root:root.
type Attr struct {
	Mode  fs.FileMode // permission bits with setuid, setgid and sticky in their fs.FileMode places; 0 = not given
	Owner string      // user name or number; "" = not given
	Group string
}

// FileInfo describes a file on a host.
type FileInfo struct {
	Name   string // base name; for Glob and ReadDir too
	Size   int64
	Mode   fs.FileMode
	Owner  string // user name, or the number where it has none
	Group  string
	Target string // of a symbolic link (Lstat and ReadDir)
	MTime  time.Time
}

// Command is a program to run: argv, never a shell string. The environment is PATH, HOME, USER of root, LC_ALL=C.UTF-8
// and Env.
type Command struct {
	Argv     []string
	Env      []string // KEY=value, added to the base environment
	Dir      string   // "" = "/"
	Stdin    io.Reader
	ReadOnly bool // promise: the program changes nothing; needed during Changes
	Stream   bool // show output lines to people while it runs
	Secret   bool // output is secret: never shown
	MaxBytes int  // cap of each output kept, its middle cut out; 0 = 1 MiB
}

// Cmd is a Command that may change the host.
func Cmd(argv ...string) Command { return Command{Argv: argv} }

// Query is a Command that changes nothing.
func Query(argv ...string) Command { return Command{Argv: argv, ReadOnly: true} }

// WithEnv returns a copy with more environment variables.
func (c Command) WithEnv(kv ...string) Command {
	c.Env = append(append([]string(nil), c.Env...), kv...)
	return c
}

// WithStdin returns a copy that reads s from its standard input.
func (c Command) WithStdin(s string) Command {
	c.Stdin = strings.NewReader(s)
	return c
}

// Streamed returns a copy whose output lines are shown while it runs.
func (c Command) Streamed() Command {
	c.Stream = true
	return c
}

// String is the command line for people, as a shell would take it.
func (c Command) String() string { return Line(c.Argv) }

// Line writes program and arguments as a shell would take them.
func Line(argv []string) string {
	var b strings.Builder
	for i, arg := range argv {
		if i > 0 {
			b.WriteByte(' ')
		}
		if arg != "" && !strings.ContainsAny(arg, " \t\n'\"$`\\|&;<>()*?[]{}~#!") {
			b.WriteString(arg)
			continue
		}
		b.WriteString("'" + strings.ReplaceAll(arg, "'", `'\''`) + "'")
	}
	return b.String()
}

// Output is what a program said.
type Output struct {
	Code   int // exit code; 128+n when a signal n ended it
	Stdout string
	Stderr string
}

// OK tells whether the exit code is 0.
func (o Output) OK() bool { return o.Code == 0 }

// Text is standard output without white space at its ends.
func (o Output) Text() string { return strings.TrimSpace(o.Stdout) }

// Tail is what a person should see of a failed program: the end of standard error, or of standard output when that is
// empty, at most n bytes, whole lines.
func (o Output) Tail(n int) string {
	s := strings.TrimSpace(o.Stderr)
	if s == "" {
		s = strings.TrimSpace(o.Stdout)
	}
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[i+1:]
	}
	return s
}

// Killed is what to do about a program that was killed; "" for one that ended by itself.
func (o Output) Killed() string {
	const killed = 128 + 9
	if o.Code == killed {
		return "the program was killed (signal 9): `dmesg | tail` tells whether the machine has run out of memory"
	}
	return ""
}

// Must runs c and turns an exit code other than 0 into a Failure that carries the program's output.
func Must(ctx context.Context, h Host, c Command) (Output, error) {
	o, err := h.Run(ctx, c)
	if err != nil {
		return o, err
	}
	if !o.OK() {
		return o, Failf("`%s` ended with exit code %d", c, o.Code).WithOutput(o).WithHint("%s", o.Killed())
	}
	return o, nil
}

// Controller is the machine kflow runs on, as far as a task may use it.
type Controller interface {
	// Stat returns the SHA-256 (hex) of a file of the controller; "" when there is none. path is relative to the playbook.
	Stat(ctx context.Context, path string) (sha256 string, err error)
	// Save writes a file of the controller, atomically; its directory is made.
	Save(ctx context.Context, path string, mode fs.FileMode, r io.Reader) error
	// Download gets a URL on the controller, once per run for all hosts, checks its SHA-256 if one is given, and
	// opens it.
	Download(ctx context.Context, url, sha256 string) (io.ReadCloser, error)
}

// Content is something the controller holds and a task wants on a host. In a playbook it is written as text (`content`),
// as a template file (`template`) or as a file (`source`); see the format names in package shape.
type Content struct {
	Text   string `json:"text,omitempty"`   // inline, when Inline
	Inline bool   `json:"inline,omitempty"` // Text is all
	Name   string `json:"name,omitempty"`   // file it comes from, for people
	SHA256 string `json:"sha256"`           // hex; always set
	Size   int64  `json:"size"`             // bytes
	Secret bool   `json:"secret,omitempty"` // computed from a secret: no diff is shown
}

// ErrReadOnly is returned by a Host that refuses writes.
var ErrReadOnly = errors.New("this host may only be read now: Changes must not write")

// Condition is a parameter of type condition: an expression that the engine evaluates, kept with its text.
type Condition struct {
	Text  string `json:"text"`
	Value bool   `json:"value"`
}
