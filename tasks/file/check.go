package file

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// staticPods is where kubelets look for pods; of files there they leave alone only those whose names begin with a dot.
const staticPods = "/etc/kubernetes/manifests"

// Check implements task.Checker.
func (p *File) Check() error {
	var errs []error
	bad := func(cond bool, f func() *task.Failure) {
		if cond {
			errs = append(errs, f())
		}
	}
	other := p.Directory || p.Symlink != "" || p.Absent
	plain := p.hasSource() || p.edits()
	bad(other && (p.edits() || len(p.Validate) > 0 || p.Backup), func() *task.Failure {
		return task.Failf("a directory, a link or an absent path has no content: leave out replace, lines, set, block, validate and backup")
	})
	bad(p.Absent && strings.Count(strings.TrimSuffix(p.Path, "/"), "/") < 2, func() *task.Failure {
		return task.Failf("%s is too much to remove", p.Path).WithHint("absent removes directories with all below them; give a longer path")
	})
	bad((p.Symlink != "" || p.Absent) && (p.Mode != "" || p.Owner != "" || p.Group != ""), func() *task.Failure {
		return task.Failf("mode and owner say nothing of a link or of an absent path")
	})
	bad(!other && !plain && p.Mode == "" && p.Owner == "" && p.Group == "", func() *task.Failure {
		return task.Failf("nothing is declared of %s", p.Path).WithHint("give a source (content, template, source, copy_of, from, directory, symlink, absent), an edit, or mode and owner")
	})
	bad(len(p.Set) > 0 && p.format() == "", func() *task.Failure {
		return task.Failf("the format of %s is not known", p.Path).WithHint("add `format: toml`, `ini`, `json` or `yaml`")
	})
	bad(len(p.Validate) > 0 && !slices.ContainsFunc(p.Validate, func(a string) bool { return strings.Contains(a, "%s") }), func() *task.Failure {
		return task.Failf("validate has no %%s, which stands for the file with the new content")
	})
	bad(p.hasSource() && p.Missing != "", func() *task.Failure {
		return task.Failf("missing is for edits of a file that is there; here there is a source")
	})
	return errors.Join(slices.Concat(errs, p.checkPlace(), p.checkEdits())...)
}

// checkPlace finds what cannot be at this path.
func (p *File) checkPlace() (errs []error) {
	if p.Mode != "" && strings.Trim(string(p.Mode), "0") == "" {
		errs = append(errs, task.Failf("mode %q means that it is not given", string(p.Mode)).WithHint("take \"0400\": root may read a file of any mode"))
	}
	if p.Backup && path.Dir(p.Path) == staticPods {
		errs = append(errs, task.Failf("backup: kubelets start whatever lies in %s, a backup too", staticPods).
			WithHint("leave backup out; copy the file elsewhere with a task before (copy_of)"))
	}
	return errs
}

// checkEdits finds what is wrong with edits of the text.
func (p *File) checkEdits() (errs []error) {
	for _, r := range p.Replace {
		errs = append(errs, compiles("replace", r.Match))
	}
	for _, l := range p.Lines {
		if l.Line == "" && (!l.Absent || l.Match == "") {
			errs = append(errs, task.Failf("lines: an entry needs line, or absent with match"))
		}
		if strings.Contains(l.Line, "\n") {
			errs = append(errs, task.Failf("lines: %q is more than one line", l.Line))
		}
		errs = append(errs, compiles("lines", l.Match), compiles("lines", l.After))
	}
	return errs
}

func compiles(where, expr string) error {
	if _, err := regexp.Compile(expr); err != nil {
		return task.Failf("%s: %q is no regular expression: %w", where, expr, err)
	}
	return nil
}
