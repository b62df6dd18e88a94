package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// checkCommand looks at a command without running it: its flags and its targets exist.
func (s *docSession) checkCommand(t *testing.T, c docCommand) {
	words := strings.Fields(strings.ReplaceAll(c.words, "\\\n", " "))
	for i, w := range words {
		if strings.HasPrefix(w, "#") {
			return
		}
		if w == "make" && i == 0 && len(words) > 1 {
			s.makeTarget(t, c, words[1])
		}
		if filepath.Base(w) == "kflow" && (i == 0 || words[i-1] == "exec") {
			s.kflow(t, c, upTo(words[i+1:], "|", "#", "&", ";", ">", "2>&1", "&&"))
		}
		if strings.HasPrefix(w, "test/") {
			s.exists(t, c, w)
		}
	}
}

// elsewhere reports a command that would leave this machine.
func (s *docSession) elsewhere(t *testing.T, c docCommand) bool {
	leaves := regexp.MustCompile(`kflow (run|plan|resume) .*(playbooks|test)/`).MatchString(c.words)
	if leaves = leaves && !strings.Contains(c.words, "--simulate") && !strings.Contains(c.words, "--dry-run"); leaves {
		t.Errorf("%s: $ %s\nwould go to real hosts: by-hand is missing", s.at(c.line), c.words)
	}
	return leaves
}

func (s *docSession) exists(t *testing.T, c docCommand, path string) {
	if _, err := os.Stat(filepath.Join(root, path)); err != nil {
		t.Errorf("%s: %v", s.at(c.line), err)
	}
}

func (s *docSession) makeTarget(t *testing.T, c docCommand, target string) {
	if !strings.Contains(docText(t, "Makefile"), "\n"+target+": ") {
		t.Errorf("%s: there is no target %s", s.at(c.line), target)
	}
}

func upTo(words []string, ends ...string) []string {
	if i := slices.IndexFunc(words, func(w string) bool { return slices.Contains(ends, w) }); i >= 0 {
		return words[:i]
	}
	return words
}

// kflow parses a command line.
func (s *docSession) kflow(t *testing.T, c docCommand, args []string) {
	a := &app{out: io.Discard, err: io.Discard}
	cmd, rest, err := a.root().Find(args)
	if err == nil && cmd.HasParent() {
		err = cmd.ParseFlags(rest)
	}
	if err != nil && !strings.Contains(err.Error(), "help requested") {
		t.Errorf("%s: kflow %s: %v", s.at(c.line), strings.Join(args, " "), err)
	}
}
