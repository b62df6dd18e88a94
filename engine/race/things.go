package race

import (
	"path"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// touches are the things a task reads and writes, in one notation.
func touches(t task.Task) (reads, writes []string) {
	toucher, ok := t.(task.Toucher)
	if !ok {
		return nil, nil
	}
	all := toucher.Touches()
	return things(all.Reads), things(all.Writes)
}

// things leaves out what is not known yet: a parameter that depends on facts is empty.
func things(resources []string) []string {
	var out []string
	for _, r := range resources {
		if file, ok := strings.CutPrefix(r, "path:"); ok {
			if r, ok = clean(file); !ok {
				continue
			}
		}
		if r == "" || strings.HasSuffix(r, ":") {
			continue
		}
		out = append(out, r)
	}
	return out
}

// clean is a path in the one way it is written here; ok is false for one that is not known.
func clean(file string) (string, bool) {
	file = strings.TrimPrefix(file, "unix://")
	if !path.IsAbs(file) || strings.Trim(file, "/") == "" {
		return "", false
	}
	dir := strings.HasSuffix(file, "/")
	if file = path.Clean(file); dir {
		file += "/"
	}
	return "path:" + file, true
}

// dirs are the things that stand for all below a directory in which this one is, or is itself.
func dirs(thing string) []string {
	file, ok := strings.CutPrefix(thing, "path:")
	if !ok {
		return nil
	}
	var out []string
	if dir := strings.HasSuffix(file, "/"); dir {
		file = strings.TrimSuffix(file, "/")
	} else {
		out = append(out, "path:"+file+"/")
	}
	for file = path.Dir(file); file != "/" && file != "."; file = path.Dir(file) {
		out = append(out, "path:"+file+"/")
	}
	return out
}

// name is a thing for people.
func name(thing string) string {
	kind, what, ok := strings.Cut(thing, ":")
	switch {
	case !ok:
		return "the " + thing
	case kind == "path":
		return what
	}
	return kind + " " + what
}
