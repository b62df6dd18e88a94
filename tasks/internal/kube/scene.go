package kube

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// Declared is the version of Kubernetes that a playbook declares, and where.
type Declared struct {
	Version
	Task  string
	Param []any
}

// VersionIn finds the version of Kubernetes of the host that is looked at: what kubeadm is to make, else the kubeadm that
// is to be installed. ok is false where neither is known.
func VersionIn(s task.Scene) (d Declared, ok bool) {
	for _, n := range s {
		for _, arm := range []string{"init", "join", "images"} {
			if n.Kind == "kubeadm" && d.from(n, arm, "version") {
				return d, true
			}
		}
	}
	return PackageIn(s, "kubeadm")
}

// PackageIn finds the version of a package of Kubernetes that is to be installed on the host that is looked at.
func PackageIn(s task.Scene, name string) (d Declared, ok bool) {
	for _, n := range s.Here("package") {
		for i, e := range List(n.Get("names")) {
			entry, _ := e.(map[string]any)
			if entry["name"] != name {
				continue
			}
			if v, err := ParseVersion(fmt.Sprint(entry["version"])); err == nil {
				return Declared{v, n.ID, []any{"names", i, "version"}}, true
			}
			if d.from(n, "version") {
				return d, true
			}
		}
	}
	return d, false
}

func (d *Declared) from(n task.Neighbour, keys ...string) bool {
	v, err := ParseVersion(n.Text(keys...))
	if err != nil {
		return false
	}
	d.Version, d.Task, d.Param = v, n.ID, nil
	for _, k := range keys {
		d.Param = append(d.Param, k)
	}
	return true
}

// List is a list of parameters; nil where there is none.
func List(v any) []any {
	list, _ := v.([]any)
	return list
}

// Texts are the texts of a list.
func Texts(v any) []string {
	var out []string
	for _, x := range List(v) {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// File is a file that a playbook writes, as far as it is known.
type File struct {
	Task, Path string
	Text       string // its content; "" where it is not written in the playbook
	Param      []any  // of Text
	Set        map[string]any
	From       []string // program that prints it
}

// FilesIn are the files that tasks of the host write.
func FilesIn(s task.Scene) []File {
	var out []File
	for _, n := range s.Here("file") {
		f := File{Task: n.ID, Path: n.Text("path"), From: Texts(n.Get("from", "command"))}
		f.Set, _ = n.Get("set").(map[string]any)
		for _, key := range []string{"content", "template"} {
			if text := n.Text(key, "text"); text != "" {
				f.Text, f.Param = text, []any{key}
			}
		}
		out = append(out, f)
	}
	return out
}

// Setting finds a value of a configuration file: set by a path that ends in name, or written in the text as name = value
// or name: value.
func (f File) Setting(name string) (value string, param []any, ok bool) {
	keys := make([]string, 0, len(f.Set))
	for key := range f.Set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if key == name || strings.HasSuffix(key, "."+name) || strings.HasSuffix(key, `"`+name+`"`) {
			return fmt.Sprint(f.Set[key]), []any{"set", key}, true
		}
	}
	m := regexp.MustCompile(`(?m)^[ \t]*"?` + regexp.QuoteMeta(name) + `"?[ \t]*[=:][ \t]*["']?([^"'\s#,]+)`).FindStringSubmatch(f.Text)
	if m == nil {
		return "", nil, false
	}
	return m[1], f.Param, true
}
