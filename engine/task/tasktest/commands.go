package tasktest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// command is one entry of the section commands.
type command struct {
	argv     []string
	readOnly bool
	when     []test
	sets     [][2]string
	writes   []written
	links    [][2]string
	removes  []string
	stdin    []string
	out, err strings.Builder
	code     int
	takes    time.Duration
	missing  bool
}

// test is a condition on a state: key=value or key!=value.
type test struct {
	key, value string
	not        bool
}

type written struct {
	path, content string
	attr          task.Attr
}

// parseCommands reads the section commands; texts are the sections text/.
func parseCommands(src string, texts map[string]string) ([]*command, error) {
	var all []*command
	for i, line := range strings.Split(src, "\n") {
		bad := func(err error) error { return fmt.Errorf("commands:%d: %q: %w", i+1, line, err) }
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if line[0] == '?' || line[0] == '$' {
			argv, err := split(line[1:])
			if err != nil || len(argv) == 0 {
				return nil, bad(fmt.Errorf("want arguments: %w", err))
			}
			all = append(all, &command{argv: argv, readOnly: line[0] == '?'})
			continue
		}
		if len(all) == 0 {
			return nil, bad(fmt.Errorf("want ? or $ and the arguments of a command first"))
		}
		if err := all[len(all)-1].line(line, texts); err != nil {
			return nil, bad(err)
		}
	}
	return all, nil
}

// line adds what one line below a command says.
func (c *command) line(line string, texts map[string]string) error {
	switch line[0] {
	case '>':
		c.out.WriteString(strings.TrimPrefix(line[1:], " ") + "\n")
		return nil
	case '!':
		c.err.WriteString(strings.TrimPrefix(line[1:], " ") + "\n")
		return nil
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	var err error
	switch word {
	case "if":
		c.when, err = parseTests(strings.Fields(rest))
	case "sets":
		for _, kv := range strings.Fields(rest) {
			key, value, _ := strings.Cut(kv, "=")
			c.sets = append(c.sets, [2]string{key, value})
		}
	case "code":
		c.code, err = strconv.Atoi(rest)
	case "out":
		text, ok := texts[rest]
		if !ok {
			return fmt.Errorf("there is no section text/%s", rest)
		}
		c.out.WriteString(text)
	case "write":
		return c.write(rest, texts)
	case "link":
		name, target, ok := strings.Cut(rest, " -> ")
		if !ok {
			return fmt.Errorf("want link PATH -> TARGET")
		}
		c.links = append(c.links, [2]string{name, target})
	case "remove":
		c.removes = append(c.removes, rest)
	case "stdin":
		c.stdin = append(c.stdin, rest)
	case "takes":
		c.takes, err = time.ParseDuration(rest)
	case "missing":
		c.missing = true
	default:
		return fmt.Errorf("unknown word %q; want if, sets, code, out, write, link, remove, stdin, takes, missing, ! or >", word)
	}
	return err
}

func (c *command) write(rest string, texts map[string]string) error {
	head, content, inline := strings.Cut(rest, " = ")
	words := strings.Fields(head)
	w := written{path: words[0], content: content + "\n"}
	for _, word := range words[1:] {
		if strings.Contains(word, "=") {
			attrs, err := parseAttrs([]string{word})
			if err != nil {
				return err
			}
			w.attr = attrs.attr
			continue
		}
		text, ok := texts[word]
		if !ok || inline {
			return fmt.Errorf("there is no section text/%s", word)
		}
		w.content = text
	}
	c.writes = append(c.writes, w)
	return nil
}

func parseTests(words []string) ([]test, error) {
	var out []test
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fmt.Errorf("condition %q is not key=value or key!=value", w)
		}
		name, not := strings.CutSuffix(key, "!")
		out = append(out, test{name, value, not})
	}
	return out, nil
}

func (h *Host) holds(tests []test) bool {
	return !slices.ContainsFunc(tests, func(t test) bool { return (h.state[t.key] == t.value) == t.not })
}

// Run implements task.Host.
func (h *Host) Run(_ context.Context, c task.Command) (task.Output, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entry, caught := h.find(c.Argv)
	if entry == nil {
		h.t.Errorf("the case does not know this command (readonly=%v): add it to its section commands\n\t%s", c.ReadOnly, quote(c.Argv))
		return task.Output{}, fmt.Errorf("unknown command %s", quote(c.Argv))
	}
	if c.ReadOnly && !entry.readOnly {
		h.t.Errorf("the kind says that this command changes nothing, the case ($) says that it may:\n\t%s", quote(c.Argv))
	}
	if entry.missing {
		return task.Output{}, &exec.Error{Name: c.Argv[0], Err: exec.ErrNotFound}
	}
	input, err := readStdin(c)
	if err != nil {
		return task.Output{}, err
	}
	for _, want := range entry.stdin {
		if !strings.Contains(input, want) {
			h.t.Errorf("standard input of %s does not contain %q:\n%s", quote(c.Argv), want, input)
		}
	}
	if !c.ReadOnly {
		h.ran = append(h.ran, transcript(c, input))
	}
	return h.effect(entry, caught)
}

func readStdin(c task.Command) (string, error) {
	if c.Stdin == nil {
		return "", nil
	}
	b, err := io.ReadAll(c.Stdin)
	return string(b), err
}

// transcript is how a command appears in the section ran.
func transcript(c task.Command, input string) string {
	s := quote(append(slices.Clone(c.Env), c.Argv...))
	for line := range strings.Lines(input) {
		s += "\n  < " + strings.TrimSuffix(line, "\n")
	}
	return s
}

func (h *Host) effect(c *command, caught []string) (task.Output, error) {
	expand := func(s string) string { return h.expand(s, caught) }
	h.pass(c.takes)
	out := task.Output{Code: c.code, Stdout: expand(c.out.String()), Stderr: expand(c.err.String())}
	for _, w := range c.writes {
		name := expand(w.path)
		h.files.mkdirs(path.Dir(name))
		if h.files[name] == nil && kernelFile(name) {
			h.files[name] = &node{mode: 0o644, owner: "root", group: "root"}
		}
		if err := h.files.write(name, []byte(expand(w.content)), w.attr, h.now); err != nil {
			h.t.Error(err)
		}
	}
	for _, l := range c.links {
		h.files[expand(l[0])] = &node{mode: fs.ModeSymlink | 0o777, owner: "root", group: "root", target: expand(l[1]), mtime: h.now}
	}
	for _, name := range c.removes {
		h.files.remove(expand(name))
	}
	for _, kv := range c.sets {
		h.state[expand(kv[0])] = expand(kv[1])
	}
	return out, nil
}

// expand replaces ${key} by a state and $1 to $9 by what a * of the arguments matched.
func (h *Host) expand(s string, caught []string) string {
	for i, c := range caught {
		s = strings.ReplaceAll(s, "$"+strconv.Itoa(i+1), c)
	}
	for {
		before, rest, ok := strings.Cut(s, "${")
		key, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return s
		}
		s = before + h.state[key] + after
	}
}

func (h *Host) find(argv []string) (*command, []string) {
	for _, c := range h.commands {
		if caught, ok := match(c.argv, argv); ok && h.holds(c.when) {
			return c, caught
		}
	}
	return nil, nil
}

// match compares arguments with a pattern and returns what its stars stand for.
func match(pattern, argv []string) (caught []string, ok bool) {
	for i, p := range pattern {
		if p == "..." && i == len(pattern)-1 {
			return caught, true
		}
		if i >= len(argv) {
			return nil, false
		}
		before, after, star := strings.Cut(p, "*")
		switch {
		case !star && p != argv[i]:
			return nil, false
		case star:
			if len(argv[i]) < len(before)+len(after) || !strings.HasPrefix(argv[i], before) || !strings.HasSuffix(argv[i], after) {
				return nil, false
			}
			caught = append(caught, argv[i][len(before):len(argv[i])-len(after)])
		}
	}
	return caught, len(pattern) == len(argv)
}

// split reads words as a shell does: quotes, and backslashes outside of single quotes.
func split(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quoted rune
	started, escaped := false, false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quoted != '\'':
			escaped, started = true, true
		case quoted != 0 && r == quoted:
			quoted = 0
		case quoted != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quoted, started = r, true
		case r == ' ' || r == '\t':
			if started {
				words = append(words, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteRune(r)
			started = true
		}
	}
	if quoted != 0 || escaped {
		return nil, fmt.Errorf("quotes are not closed in %q", s)
	}
	if started {
		words = append(words, word.String())
	}
	return words, nil
}

// quote writes words so that split reads them again.
func quote(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n\"'\\") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		out[i] = w
	}
	return strings.Join(out, " ")
}
