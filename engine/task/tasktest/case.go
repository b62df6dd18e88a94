package tasktest

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3" //nolint:depguard // cases are written in YAML; nothing here is part of kflow

	"github.com/kflow/kflow/engine/task"
)

// testCase is one txtar file, parsed.
type testCase struct {
	archive *txtar.Archive
	params  string
	expect  map[string]string // name of section to content, of expectations
}

// strict are the expectations that are compared even when the case has no such section; after/ and saved/ are too.
func strict(section string) bool {
	return slices.Contains([]string{"changes", "ran", "error"}, section) ||
		strings.HasPrefix(section, "after/") || strings.HasPrefix(section, "saved/")
}

func isExpectation(section string) bool {
	return strict(section) || slices.Contains([]string{"diff", "hint", "output", "logs", "progress", "outputs.yaml"}, section)
}

// parseCase reads a case and makes its host.
func parseCase(t testing.TB, a *txtar.Archive) (*testCase, *Host, error) {
	c := &testCase{archive: a, expect: map[string]string{}}
	h := NewHost(t)
	texts := map[string]string{}
	for _, f := range a.Files {
		if name, ok := strings.CutPrefix(f.Name, "text/"); ok {
			texts[name] = string(f.Data)
		}
	}
	seen := map[string]bool{}
	for _, f := range a.Files {
		if seen[f.Name] && !strings.HasPrefix(f.Name, "http ") {
			return nil, nil, fmt.Errorf("section %q is there twice", f.Name)
		}
		seen[f.Name] = true
		if err := c.section(h, f.Name, string(f.Data), texts); err != nil {
			return nil, nil, fmt.Errorf("section %q: %w", f.Name, err)
		}
	}
	if !seen["params.yaml"] {
		return nil, nil, fmt.Errorf("there is no section params.yaml")
	}
	return c, h, nil
}

func (c *testCase) section(h *Host, name, data string, texts map[string]string) (err error) {
	kind, rest, _ := strings.Cut(name, "/")
	switch {
	case isExpectation(name):
		c.expect[name] = data
	case name == "params.yaml":
		c.params = data
	case name == "facts.yaml":
		err = setFacts(h.facts, data)
	case name == "state":
		err = h.parseState(data)
	case name == "commands":
		h.commands, err = parseCommands(data, texts)
	case name == "dial":
		h.dials, err = parseDials(data)
	case strings.HasPrefix(name, "http "):
		var a *answer
		if a, err = parseAnswer(name, data); err == nil {
			h.answers = append(h.answers, a)
		}
	case kind == "text":
	case kind == "controller":
		var a attrs
		if rest, a, err = parseName(rest); err == nil {
			h.controller[rest] = []byte(strings.Repeat(data, max(1, a.repeat)))
		}
	case kind == "before":
		err = h.before("/"+rest, data)
	default:
		err = fmt.Errorf("unknown; see the documentation of package tasktest")
	}
	return err
}

// setFacts overlays facts with YAML, strictly.
func setFacts(facts *task.Facts, src string) error {
	var over map[string]any
	if err := yaml.Unmarshal([]byte(src), &over); err != nil {
		return err
	}
	return decode(over, facts)
}

func (h *Host) parseState(src string) error {
	for line := range strings.Lines(src) {
		words := strings.Fields(line)
		at := h.now
		if len(words) == 3 && words[0] == "after" {
			d, err := time.ParseDuration(words[1])
			if err != nil {
				return err
			}
			at, words = at.Add(d), words[2:]
		}
		for _, kv := range words {
			key, value, ok := strings.Cut(kv, "=")
			if !ok {
				return fmt.Errorf("%q is not key=value or `after 30s key=value`", line)
			}
			if at.After(h.now) {
				h.timers = append(h.timers, timer{at, key, value})
			} else {
				h.state[key] = value
			}
		}
	}
	return nil
}

// before makes a file of the section before/.
func (h *Host) before(head, data string) error {
	name, a, err := parseName(head)
	if err != nil {
		return err
	}
	n := &node{mode: 0o644, owner: "root", group: "root", data: []byte(data), mtime: h.now}
	switch {
	case a.target != "":
		n = &node{mode: fs.ModeSymlink | 0o777, owner: "root", group: "root", target: a.target, mtime: h.now}
	case strings.HasSuffix(name, "/"):
		n.mode, n.data = fs.ModeDir|0o755, nil
	case a.nonl:
		n.data = []byte(strings.TrimSuffix(data, "\n"))
	}
	n.data = bytes.Repeat(n.data, max(1, a.repeat))
	n.set(a.attr)
	name = path.Clean(name)
	h.files.mkdirs(path.Dir(name))
	h.files[name] = n
	return nil
}

// attrs is what stands behind the name in a section line.
type attrs struct {
	attr   task.Attr
	target string // of a symbolic link
	absent bool
	nonl   bool
	repeat int
}

func (a attrs) mode(otherwise fs.FileMode) fs.FileMode {
	if a.attr.Mode == 0 {
		return otherwise
	}
	return a.attr.Mode
}

// parseName reads `name`, `name -> target` or `name mode=0600 owner=a:b absent nonl`.
func parseName(head string) (string, attrs, error) {
	if name, target, ok := strings.Cut(head, " -> "); ok {
		return strings.TrimSpace(name), attrs{target: strings.TrimSpace(target)}, nil
	}
	words := strings.Fields(head)
	a, err := parseAttrs(words[1:])
	return words[0], a, err
}

func parseAttrs(words []string) (attrs, error) {
	var a attrs
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "mode":
			a.attr.Mode, err = task.Mode(value).FileMode()
		case "owner":
			a.attr.Owner, a.attr.Group, _ = strings.Cut(value, ":")
		case "absent":
			a.absent = true
		case "nonl":
			a.nonl = true
		case "repeat":
			a.repeat, err = strconv.Atoi(value)
		default:
			err = fmt.Errorf("unknown attribute %q; want mode=, owner=user:group, absent, nonl, repeat=", w)
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

// parseAnswer reads `http GET URL attribute...`.
func parseAnswer(head, data string) (*answer, error) {
	words, err := split(head)
	if err != nil || len(words) < 3 {
		return nil, fmt.Errorf("want `http METHOD URL`")
	}
	a := &answer{method: words[1], url: words[2], status: http.StatusOK, header: http.Header{}, body: []byte(data)}
	for _, w := range words[3:] {
		key, value, _ := strings.Cut(w, "=")
		switch {
		case key == "status":
			a.status, err = strconv.Atoi(value)
		case key == "error":
			a.err = value
		case key == "cut":
			a.cut, err = strconv.Atoi(value)
		case key == "nonl":
			a.body = []byte(strings.TrimSuffix(data, "\n"))
		case key == "tgz":
			a.body, err = targz(data)
		case strings.HasPrefix(key, "header:"):
			a.header.Set(strings.TrimPrefix(key, "header:"), value)
		case strings.HasPrefix(w, "if:"):
			var ts []test
			ts, err = parseTests([]string{strings.TrimPrefix(w, "if:")})
			a.when = append(a.when, ts...)
		default:
			err = fmt.Errorf("unknown attribute %q", w)
		}
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}
