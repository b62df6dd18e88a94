package diag_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/diag"
)

func write(t *testing.T, text string, ds ...diag.Diagnostic) string {
	t.Helper()
	var b bytes.Buffer
	if err := diag.Write(&b, ds, func(string) []byte { return []byte(text) }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func at(line, col int) diag.Pos { return diag.Pos{File: "f.yaml", Line: line, Col: col} }

func TestWrite(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		d    diag.Diagnostic
		want string
	}{
		"caret":        {"a: 1\nb: éx\n", diag.Diagnostic{Pos: at(2, 5), Len: 1, Summary: "no"}, "f.yaml:2:5: error: no\n  2 | b: éx\n    |     ^\n"},
		"crlf":         {"a: 1\r\nb: 2\r\n", diag.Diagnostic{Pos: at(1, 4), Summary: "no"}, "f.yaml:1:4: error: no\n  1 | a: 1\n    |    ^\n"},
		"tab":          {"\ta: 1", diag.Diagnostic{Pos: at(1, 2), Summary: "no"}, "f.yaml:1:2: error: no\n  1 | \ta: 1\n    | \t^\n"},
		"end of line":  {"a:", diag.Diagnostic{Pos: at(1, 3), Summary: "no"}, "f.yaml:1:3: error: no\n  1 | a:\n    |   ^\n"},
		"beyond":       {"a:", diag.Diagnostic{Pos: at(1, 9), Summary: "no"}, "f.yaml:1:9: error: no\n  1 | a:\n"},
		"no such line": {"a:", diag.Diagnostic{Pos: at(7, 1), Summary: "no"}, "f.yaml:7:1: error: no\n"},
		"hidden":       {"secret", diag.Diagnostic{Pos: at(1, 1), Summary: "no", Hidden: true}, "f.yaml:1:1: error: no\n"},
		"all parts": {"a", diag.Diagnostic{Severity: diag.Warning, Pos: at(1, 1), Summary: "no", Rule: "race", Hint: "do", Notes: []diag.Note{{Pos: at(1, 1), Text: "here"}}},
			"f.yaml:1:1: warning: no [race]\n  1 | a\n    | ^\n  note: f.yaml:1:1: here\n  help: do\n"},
		"nowhere": {"", diag.Diagnostic{Summary: "no"}, "error: no\n"},
	} {
		if got := write(t, c.text, c.d); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// TestWriteLongLines: of a line that would fill the terminal the part around the mistake is shown.
func TestWriteLongLines(t *testing.T) {
	line := strings.Repeat("a", 500) + "X" + strings.Repeat("b", 500)
	for _, col := range []int{1, 100, 501, 1001} {
		shown := strings.Split(write(t, line, diag.Diagnostic{Pos: at(1, col), Len: 800, Summary: "no"}), "\n")
		if len([]rune(shown[1])) > 220 || len([]rune(shown[2])) > 220 {
			t.Errorf("column %d: too long: %q %q", col, shown[1], shown[2])
		}
		caret := strings.Index(shown[2], "^")
		got := string([]rune(shown[1])[caret:])
		if want := line[col-1:]; !strings.HasPrefix(want, strings.TrimSuffix(got, "…")) {
			t.Errorf("column %d: the caret is at %.20q, want %.20q", col, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{"sysclt", "sysctl"}, {"SYSCTL", "sysctl"}, {"fil", "file"}, {"apt", ""}, {"", ""},
	} {
		if got := diag.Nearest(c.got, []string{"file", "sysctl", "systemd"}); got != c.want {
			t.Errorf("%q: %q, want %q", c.got, got, c.want)
		}
	}
}

func TestNearFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hosts.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := diag.NearFile(filepath.Join(dir, "host.yaml")), "did you mean `"+filepath.Join(dir, "hosts.yaml")+"`?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, far := range []string{"other.txt", "hosts.yaml", "none/hosts.yaml"} {
		if got := diag.NearFile(filepath.Join(dir, far)); got != "" {
			t.Errorf("%s: %q", far, got)
		}
	}
}

func TestList(t *testing.T) {
	var l diag.List
	l.Warnf(at(3, 1), "warned")
	if l.Err() != nil {
		t.Error("a warning is no error")
	}
	l.Errorf(at(2, 1), "wrong").Hintf("mend %s", "it")
	l.Errorf(at(2, 1), "wrong")
	err := fmt.Errorf("loading: %w", l.Err())
	ds, ok := diag.As(err)
	if !ok || len(ds) != 2 || ds[0].Summary != "wrong" || ds[1].Summary != "warned" {
		t.Errorf("want the error once, then the warning: %v", ds)
	}
	if want := "loading: f.yaml:2:1: wrong (mend it)\nf.yaml:3:1: warned"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if _, ok := diag.As(errors.New("another")); ok {
		t.Error("another error has no diagnostics")
	}
}
