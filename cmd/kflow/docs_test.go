package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine/inventory"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/syntax"
	"github.com/kflow/kflow/tasks"
)

// The documentation is carried out. Each document is one session in a folder of its own that has the shipped playbooks
// and the lab's site playbook. What stands behind the language of a code block says what is done with it:
//
//	yaml              read as a playbook, an inventory, or a list of tasks
//	yaml file=NAME    also written to NAME, for the commands below it; without `kflow:` any YAML will do
//	text file=NAME    written to NAME
//	console           the commands behind "$ " are run; what stands below each is what it says
//	console exit=N    the exit code of the last one
//	console by-hand   not run here (real hosts, minutes): only that commands, flags and files exist is looked at
//
// In what a command says, ... stands for anything, on a line of its own for any lines. Identifiers of runs, times and
// durations may be others, and counts that are not 0; the folder of the session is /home/ops.

// root is the repository.
const root = "../.."

// docBlock is a code block of a document.
type docBlock struct {
	line  int
	lang  string
	words []string
	text  string
}

func (b docBlock) word(name string) string {
	for _, w := range b.words {
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			return v
		}
	}
	return ""
}

func (b docBlock) byHand() bool { return slices.Contains(b.words, "by-hand") }

// documents are the pages people read, from the root of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	out := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "test/lab/README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range found {
			out = append(out, strings.TrimPrefix(f, root+"/"))
		}
	}
	return out
}

func docText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// docBlocks are the code blocks of a document.
func docBlocks(text string) []docBlock {
	var out []docBlock
	var open *docBlock
	for i, line := range strings.Split(text, "\n") {
		fence := strings.HasPrefix(strings.TrimLeft(line, " "), "```")
		switch {
		case fence && open == nil:
			info := strings.Fields(strings.TrimLeft(line, " `"))
			open = &docBlock{line: i + 1}
			if len(info) > 0 {
				open.lang, open.words = info[0], info[1:]
			}
		case fence:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return out
}

func TestDocuments(t *testing.T) {
	for _, path := range documents(t) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := newDocSession(t, path)
			for _, b := range docBlocks(docText(t, path)) {
				s.block(t, b)
			}
		})
	}
}

// docSession is a folder in which a document is carried out.
type docSession struct {
	path, dir string
}

func newDocSession(t *testing.T, path string) *docSession {
	s := &docSession{path: path, dir: t.TempDir()}
	for _, from := range []string{"playbooks", "test/lab/site.yaml", "test/lab/parts", "schema"} {
		copyTree(t, filepath.Join(root, from), filepath.Join(s.dir, from))
	}
	return s
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o644)
	}); err != nil {
		t.Fatal(err)
	}
}

func (s *docSession) at(line int) string { return fmt.Sprintf("%s:%d", s.path, line) }

func (s *docSession) block(t *testing.T, b docBlock) {
	if name := b.word("file"); name != "" {
		target := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, []byte(b.text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	switch b.lang {
	case "yaml":
		s.yaml(t, b)
	case "console":
		s.console(t, b)
	case "":
		t.Errorf("%s: say what this block is: yaml, console, text, ..", s.at(b.line))
	}
}

// yaml reads a block as kflow would.
func (s *docSession) yaml(t *testing.T, b docBlock) {
	text := b.text
	whole := strings.HasPrefix(text, "kflow:") || strings.Contains(text, "\nkflow:")
	if !whole && b.word("file") != "" {
		if _, diags := syntax.Parse(b.word("file"), []byte(text)); diags.HasErrors() {
			t.Errorf("%s: %v", s.at(b.line), diags.Err())
		}
		return
	}
	if !whole {
		text = "kflow: v1\nname: fragment\ngroups:\n  control_plane: {}\n  workers: {}\ntasks:\n" + indented(text)
	}
	name := filepath.Join(s.dir, b.word("file"))
	if b.word("file") == "" {
		name = filepath.Join(s.dir, "block.yaml")
	}
	if strings.Contains(text, "\nhosts:") {
		if _, diags := inventory.Parse(name, []byte(text)); diags.Len() > 0 {
			t.Errorf("%s: %v", s.at(b.line), diags.Sorted())
		}
		return
	}
	read := func(file string) ([]byte, error) {
		if file == name {
			return []byte(text), nil
		}
		if strings.HasPrefix(s.path, "docs/kinds/") {
			return []byte("any file of a site\n"), nil
		}
		return os.ReadFile(file)
	}
	_, _, diags := playbook.Load(context.Background(), name, playbook.Options{Kinds: tasks.All(), Read: read})
	if diags.Len() > 0 {
		t.Errorf("%s: %v", s.at(b.line), diags.Sorted())
	}
}

// indented makes a list of tasks one below `tasks:`.
func indented(text string) string {
	if strings.HasPrefix(text, " ") {
		return text
	}
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

// docCommand is a command of a console block, and what it says.
type docCommand struct {
	line  int
	words string
	says  []string
}

func docCommands(b docBlock) []docCommand {
	var out []docCommand
	continued := false
	for i, line := range strings.Split(strings.TrimRight(b.text, "\n"), "\n") {
		rest, is := strings.CutPrefix(line, "$ ")
		switch {
		case is:
			out = append(out, docCommand{line: b.line + i + 1, words: rest})
		case len(out) == 0:
			out = append(out, docCommand{line: b.line + i + 1})
			fallthrough
		case continued:
			out[len(out)-1].words += "\n" + line
			rest = line
		default:
			out[len(out)-1].says = append(out[len(out)-1].says, line)
		}
		continued = (is || continued) && strings.HasSuffix(rest, `\`)
	}
	return out
}

func (s *docSession) console(t *testing.T, b docBlock) {
	list := docCommands(b)
	for i, c := range list {
		s.checkCommand(t, c)
		if b.byHand() || s.elsewhere(t, c) {
			continue
		}
		want := 0
		if i == len(list)-1 && b.word("exit") != "" {
			want, _ = strconv.Atoi(b.word("exit"))
		}
		s.run(t, c, want)
	}
}

// run carries a command out and compares what it says.
func (s *docSession) run(t *testing.T, c docCommand, want int) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 4*time.Minute, errors.New("a command of the documentation takes too long"))
	defer cancel()
	x := exec.CommandContext(ctx, "sh", "-c", strings.ReplaceAll(c.words, "bin/kflow", "kflow"))
	x.Dir = s.dir
	x.Env = append(os.Environ(), "HOME="+s.dir, "KFLOW_STATE=", "XDG_STATE_HOME=", "KFLOW_LOCKS="+filepath.Join(s.dir, ".locks"), "NO_COLOR=1")
	out, err := x.CombinedOutput()
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v", s.at(c.line), err)
	}
	if code != want {
		t.Errorf("%s: $ %s\nexit code %d, want %d\n%s", s.at(c.line), c.words, code, want, out)
		return
	}
	if len(c.says) == 0 {
		return
	}
	if line := missing(string(out), c.says, s.dir); line != "" {
		t.Errorf("%s: $ %s\n%s\nis not what it says there:\n%s", s.at(c.line), c.words, line, out)
	}
}

// vary are the parts of an output that are others each time.
var vary = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{8}-\d{6}-[0-9a-f]{4}`), "RUN"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\b(\d+(\.\d+)?(h|m|s|ms|µs))+\b`), "DURATION"},
	{regexp.MustCompile(`\b[1-9]\d* (ok|changed|skipped|reused|blocked)\b`), "N $1"}, // who comes first decides; 0 is 0
	{regexp.MustCompile(`process \d+`), "process N"},
	{regexp.MustCompile(`kill -INT \d+`), "kill -INT N"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

func settled(line, dir string) string {
	line = strings.ReplaceAll(line, dir, "/home/ops")
	for _, v := range vary {
		line = v.re.ReplaceAllString(line, v.with)
	}
	return strings.TrimSpace(line)
}

// missing is the first line of a document that an output does not have in its place; "" when all is there.
func missing(out string, want []string, dir string) string {
	got := strings.Split(strings.Trim(out, "\n"), "\n")
	anything := false
	for _, line := range want {
		if strings.TrimSpace(line) == "..." {
			anything = true
			continue
		}
		n := slices.IndexFunc(got, func(g string) bool { return sameLine(g, line, dir) })
		if n < 0 || n > 0 && !anything {
			return line
		}
		got, anything = got[n+1:], false
	}
	if len(got) > 0 && !anything {
		return "(the end, before " + got[0] + ")"
	}
	return ""
}

func sameLine(got, want, dir string) bool {
	parts := strings.Split(settled(strings.ReplaceAll(want, "…", "..."), dir), "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(settled(got, dir))
}
