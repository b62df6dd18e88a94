package repository

import (
	"context"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/pkgmgr"
)

// backupSuffix is added to the name of a file whose first version is kept; package managers leave such files alone, apt
// without a word.
const backupSuffix = ".orig"

func aptFiles() []string {
	return []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources", "/etc/apt/mirrors/*.list"}
}

// rewriter rewrites a file; hits counts addresses that begin with from or already with to.
type rewriter func(text, from, to string) (out string, hits int)

// mirrorChanges compares files of repositories with what they shall be.
func (p *Repository) mirrorChanges(ctx context.Context, h task.Host, m *Mirror, rewrite rewriter, files []string) ([]task.Change, error) {
	if p.State == "absent" {
		return nil, task.Failf("a mirror cannot be absent").WithHint("the files as they were are beside them, with the ending %s", backupSuffix)
	}
	if len(m.Files) > 0 {
		files = m.Files
	}
	var changes []task.Change
	var texts []string
	hits := 0
	for _, pattern := range files {
		names, err := h.Glob(ctx, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			have, exists, err := hostfile.Read(ctx, h, name)
			if err != nil {
				return nil, err
			}
			want, n := rewrite(have, m.From, m.To)
			if n == 0 {
				continue // of another repository
			}
			hits += n
			texts = append(texts, want)
			for _, c := range hostfile.Want(name, have, want, exists, task.Attr{}) {
				changes = append(changes, keeping(c, name, have))
			}
		}
	}
	if hits == 0 {
		return nil, task.Failf("no address in %s begins with %s", strings.Join(files, ", "), m.From).
			WithHint("look at the files: variables such as $contentdir are written as they are there")
	}
	return p.refresh(ctx, h, hashOf(texts...), changes, pkgmgr.Options{})
}

// keeping returns a change that first keeps a copy of the file, unless there is one.
func keeping(c task.Change, name, have string) task.Change {
	write := c.Apply
	c.Apply = func(ctx context.Context, h task.Host) error {
		kept, err := hostfile.Exists(ctx, h, name+backupSuffix)
		if err != nil {
			return err
		}
		if !kept {
			if err := hostfile.Write(ctx, h, name+backupSuffix, have, task.Attr{}); err != nil {
				return err
			}
		}
		return write(ctx, h)
	}
	return c
}

// rewriteYum rewrites base URLs, commented out or not, and comments the mirror lists of the same sections out.
func rewriteYum(text, from, to string) (string, int) {
	lines := strings.SplitAfter(text, "\n")
	hits, start := 0, 0
	section := func(end int) {
		found := 0
		for i := start; i < end; i++ {
			key, value, ok := strings.Cut(strings.TrimLeft(lines[i], "# "), "=")
			if !ok || strings.TrimSpace(key) != "baseurl" {
				continue
			}
			if rest, ok := strings.CutPrefix(strings.TrimSpace(value), from); ok {
				lines[i] = "baseurl=" + to + rest + "\n"
				found++
			} else if strings.HasPrefix(strings.TrimSpace(value), to) && lines[i][0] != '#' {
				found++
			}
		}
		for i := start; i < end && found > 0; i++ {
			if strings.HasPrefix(lines[i], "mirrorlist") || strings.HasPrefix(lines[i], "metalink") {
				lines[i] = "#" + lines[i]
			}
		}
		hits, start = hits+found, end
	}
	for i, line := range lines {
		if strings.HasPrefix(line, "[") {
			section(i)
		}
	}
	section(len(lines))
	return strings.Join(lines, ""), hits
}

// rewriteApt rewrites addresses in lines of both formats of apt's sources.
func rewriteApt(text, from, to string) (string, int) {
	hits := 0
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			out.WriteString(line)
			continue
		}
		words := strings.Split(line, " ")
		for i, w := range words {
			if rest, ok := strings.CutPrefix(w, from); ok {
				words[i] = to + rest
				hits++
			} else if strings.HasPrefix(w, to) {
				hits++
			}
		}
		out.WriteString(strings.Join(words, " "))
	}
	return out.String(), hits
}
