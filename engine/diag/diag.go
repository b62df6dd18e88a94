// Package diag holds what kflow says about a document that is wrong: a list of diagnostics, each with the place, what is
// wrong and a way out, and a writer that shows them with the source line and a caret.
//
// Diagnostics are data. They are collected (a reader goes on after a mistake, so that one pass shows all of them) and
// written at the end by the command line. The package imports nothing of kflow.
package diag

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a file. Lines and columns count from 1, columns in characters; the zero Pos is "unknown".
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
}

// String is file:line:col as editors know it, shortened where a part is unknown.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Known tells whether the place has a line.
func (p Pos) Known() bool { return p.Line > 0 }

// Severity orders diagnostics: an Error refuses the document, a Warning is shown.
type Severity uint8

// The severities.
const (
	Error Severity = iota
	Warning
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Note is a second place that belongs to a diagnostic, for example the first of two duplicates.
type Note struct {
	Pos  Pos    `json:"pos"`
	Text string `json:"text"`
}

// Diagnostic is one finding.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Pos      Pos      `json:"pos"`
	Len      int      `json:"len,omitempty"` // characters the caret underlines, 1 when 0
	Summary  string   `json:"summary"`       // what is wrong, lower case, no full stop
	Hint     string   `json:"hint,omitempty"`
	Rule     string   `json:"rule,omitempty"` // name of the check, for findings that can be switched off
	Notes    []Note   `json:"notes,omitempty"`
	Hidden   bool     `json:"-"` // the source line holds a secret, and is not shown
}

// Error makes a Diagnostic usable as an error: place, summary and hint on one line.
func (d Diagnostic) Error() string {
	var b strings.Builder
	if d.Pos.File != "" {
		b.WriteString(d.Pos.String() + ": ")
	}
	b.WriteString(d.Summary)
	if d.Hint != "" {
		b.WriteString(" (" + d.Hint + ")")
	}
	return b.String()
}

// List collects diagnostics. Its zero value is ready for use; it is not safe for concurrent use.
type List struct {
	all []Diagnostic
}

// Add appends d.
func (l *List) Add(d Diagnostic) { l.all = append(l.all, d) }

// Errorf adds an error at p.
func (l *List) Errorf(p Pos, format string, args ...any) *Diagnostic {
	l.all = append(l.all, Diagnostic{Pos: p, Summary: fmt.Sprintf(format, args...)})
	return &l.all[len(l.all)-1]
}

// Warnf adds a warning at p.
func (l *List) Warnf(p Pos, format string, args ...any) *Diagnostic {
	d := l.Errorf(p, format, args...)
	d.Severity = Warning
	return d
}

// Hintf sets the way out and returns d, so that calls can be chained.
func (d *Diagnostic) Hintf(format string, args ...any) *Diagnostic {
	d.Hint = fmt.Sprintf(format, args...)
	return d
}

// Note adds a second place and returns d.
func (d *Diagnostic) Note(p Pos, format string, args ...any) *Diagnostic {
	d.Notes = append(d.Notes, Note{Pos: p, Text: fmt.Sprintf(format, args...)})
	return d
}

// Extend appends all of other.
func (l *List) Extend(other List) { l.all = append(l.all, other.all...) }

// Len is the number of diagnostics.
func (l *List) Len() int { return len(l.all) }

// HasErrors tells whether any is an Error.
func (l *List) HasErrors() bool {
	return slices.ContainsFunc(l.all, func(d Diagnostic) bool { return d.Severity == Error })
}

// Sorted returns the diagnostics by file, line and column, without exact repetitions.
func (l *List) Sorted() []Diagnostic {
	s := slices.Clone(l.all)
	slices.SortStableFunc(s, func(a, b Diagnostic) int {
		if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
			return c
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
	return slices.CompactFunc(s, func(a, b Diagnostic) bool { return a.Pos == b.Pos && a.Summary == b.Summary })
}

// Err is nil when there is no error, else an error that carries the list (see As).
func (l *List) Err() error {
	if !l.HasErrors() {
		return nil
	}
	return &Errors{List: *l}
}

// Errors is a List as an error.
type Errors struct{ List List }

func (e *Errors) Error() string {
	s := e.List.Sorted()
	lines := make([]string, len(s))
	for i, d := range s {
		lines[i] = d.Error()
	}
	return strings.Join(lines, "\n")
}

// As returns the diagnostics that err carries, if it carries any.
func As(err error) ([]Diagnostic, bool) {
	var e *Errors
	if errors.As(err, &e) {
		return e.List.Sorted(), true
	}
	var d Diagnostic
	if errors.As(err, &d) {
		return []Diagnostic{d}, true
	}
	return nil, false
}
