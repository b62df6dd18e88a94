package sysctl

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// mainFile is read by sysctl(8) after all others; systemd reads it through the link 99-sysctl.conf, where there is one.
const mainFile = "/etc/sysctl.conf"

// later looks for files that are read after ours at boot and set one of our keys to another value.
func (p *Sysctl) later(ctx context.Context, h task.Host) error {
	files, err := bootOrder(ctx, h, p.File)
	if err != nil {
		return err
	}
	wanted := map[string]string{}
	for key, value := range p.Values {
		wanted[dotted(key)] = normal(value)
	}
	last := map[string]string{} // key -> what the last file that differs says
	for _, file := range files {
		b, err := h.ReadFile(ctx, file)
		if err != nil {
			continue // a link to nowhere
		}
		for key, value := range parse(string(b)) {
			want, ours := wanted[key]
			switch {
			case ours && want != value:
				last[key] = fmt.Sprintf("%s sets %s = %s", file, key, value)
			case ours:
				delete(last, key)
			}
		}
	}
	if len(last) == 0 {
		return nil
	}
	lines := slices.Sorted(maps.Values(last))
	if p.Conflicts == "warn" {
		h.Log("read after " + p.File + " and wins at the next boot: " + strings.Join(lines, "; "))
		return nil
	}
	f := task.Failf("%s would be overruled at the next boot: %s", p.File, lines[0])
	if len(lines) > 1 {
		f = task.Failf("%s would be overruled at the next boot for %d keys: %s; ..", p.File, len(lines), lines[0])
	}
	f.Output = strings.Join(lines, "\n")
	return f.WithHint("remove the lines from that file (kind file, `replace`), choose a `file` that sorts after it, or say `conflicts: warn`")
}

// bootOrder are the files read after own, in order. Of files with one name only that of the first directory counts.
func bootOrder(ctx context.Context, h task.Host, own string) ([]string, error) {
	byName := map[string]string{}
	for _, dir := range []string{"/lib", "/usr/lib", "/usr/local/lib", "/run", "/etc"} { // weakest first
		names, err := h.Glob(ctx, dir+"/sysctl.d/*.conf")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			byName[path.Base(name)] = name
		}
	}
	var files []string
	for _, base := range slices.Sorted(maps.Keys(byName)) {
		if own != mainFile && base > path.Base(own) {
			files = append(files, byName[base])
		}
	}
	if own != mainFile {
		files = append(files, mainFile)
	}
	return files, nil
}

// parse reads the settings of a sysctl.d file.
func parse(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if key, value, ok := strings.Cut(strings.TrimPrefix(line, "-"), "="); ok {
			values[dotted(strings.TrimSpace(key))] = normal(value)
		}
	}
	return values
}

// dotted writes a key with dots, as parameters do.
func dotted(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		return strings.NewReplacer(".", "/", "/", ".").Replace(key)
	}
	return key
}
