// Package file is the kind file: one file, directory or symbolic link.
package file

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/conf"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:     "file",
		Summary:  "A file, directory or symbolic link: its content, parts of its content, mode and owner",
		Doc:      doc,
		New:      func() task.Task { return new(File) },
		Examples: examples(),
	}
}

// File are the parameters.
type File struct {
	Path string `json:"path" kf:"required,format=path" doc:"Absolute path on the host. A symbolic link there is followed, except with symlink and absent."`

	Content   *task.Content `json:"content" kf:"arm?=source,format=content" doc:"Source: this text, with expressions and directives."`
	Template  *task.Content `json:"template" kf:"arm?=source,format=template" doc:"Source: a template file, path relative to the playbook."`
	Source    *task.Content `json:"source" kf:"arm?=source,format=source" doc:"Source: a file sent as it is, path relative to the playbook."`
	CopyOf    string        `json:"copy_of" kf:"arm?=source,format=path" doc:"Source: another file of the host, absolute path; mode and owner are taken from it when the file is made and they are not given."`
	From      *From         `json:"from" kf:"arm?=source" doc:"Source: what a program on the host prints."`
	Directory bool          `json:"directory" kf:"arm?=source" doc:"The path is a directory; those above it are made too."`
	Symlink   string        `json:"symlink" kf:"arm?=source" doc:"The path is a symbolic link to this target, absolute or relative to the link."`
	Absent    bool          `json:"absent" kf:"arm?=source" doc:"There is nothing at the path; a directory is removed with all below it."`

	Replace []Replace      `json:"replace" doc:"Edits: texts to replace, in order."`
	Lines   []Line         `json:"lines" doc:"Edits: lines that must be there or must not."`
	Set     map[string]any `json:"set" doc:"Edits: values of a TOML, INI, JSON or YAML file by path, such as plugins.\"io.containerd.grpc.v1.cri\".sandbox_image; a map sets each of its keys, null removes."`
	Block   *Block         `json:"block" doc:"Edits: a block of lines between two marker lines."`
	Format  string         `json:"format" kf:"enum=toml|ini|json|yaml" doc:"Format for set, where the name of the file does not tell."`

	Mode    task.Mode `json:"mode" doc:"Permissions in octal, quoted: \"0644\". Not given, a new file has 0644, one with secret content 0600, a directory 0755; what is there keeps its mode."`
	Owner   string    `json:"owner" doc:"User that owns it, a name or number; root for a new file."`
	Group   string    `json:"group" doc:"Group that owns it, a name or number; root for a new file."`
	Parents bool      `json:"parents" doc:"Make the directories above it, with mode 0755, when they are missing."`
	Backup  bool      `json:"backup" doc:"Keep the file that is replaced as PATH.DATE-TIME~ beside it."`

	Missing  string       `json:"missing" kf:"enum=ok|create" doc:"For edits and attributes without a source, where there is no file: ok does nothing, create begins with an empty file; else it is an error."`
	Validate task.Strings `json:"validate" doc:"A program that checks the new content before it takes its place; %s stands for a file that holds it: [haproxy, -c, -f, \"%s\"]."`
}

// From is a program whose output is the source.
type From struct {
	Command task.Strings `json:"command" kf:"required,short,min=1" doc:"Program and arguments; it must change nothing, since it runs in a plan too."`
}

// Replace is one replacement.
type Replace struct {
	Match string `json:"match" kf:"required" doc:"Regular expression (RE2); ^ and $ match at every line."`
	With  string `json:"with" doc:"What every match becomes; ${1} is the first group. What is written must not match again."`
}

// Line is a line that must be there, or not.
type Line struct {
	Line   string `json:"line" kf:"short" doc:"The whole line."`
	Match  string `json:"match" doc:"Regular expression; the last line it matches becomes line, unless it is that already. With absent: lines it matches are removed."`
	After  string `json:"after" doc:"Regular expression; a new line goes behind the last line it matches, instead of to the end."`
	Absent bool   `json:"absent" doc:"The line, or all that match, must not be there."`
}

// Block is a block of lines between two marker lines.
type Block struct {
	Marker  string       `json:"marker" kf:"required" doc:"Name of the block; its first line is \"# BEGIN kflow: NAME\"."`
	Text    task.Content `json:"text" kf:"required,format=content" doc:"The lines; an empty text removes the block. A new block goes to the end of the file."`
	Comment string       `json:"comment" default:"#" doc:"What begins a comment in this file."`
}

// Touches implements task.Toucher.
func (p *File) Touches() task.Touches {
	if p.Path == "" {
		return task.Touches{} // not known yet
	}
	t := task.Touches{Writes: []string{"path:" + p.Path}}
	if p.Absent {
		t.Writes = append(t.Writes, "path:"+p.Path+"/")
	} else {
		t.Reads = append(t.Reads, "path:"+path.Dir(p.Path))
	}
	if p.From != nil && len(p.From.Command) > 0 {
		t.Reads = append(t.Reads, "path:"+p.From.Command[0])
	}
	if p.CopyOf != "" {
		t.Reads = append(t.Reads, "path:"+p.CopyOf)
	}
	return t
}

func (p *File) edits() bool {
	return len(p.Replace) > 0 || len(p.Lines) > 0 || len(p.Set) > 0 || p.Block != nil
}

func (p *File) hasSource() bool {
	return p.Content != nil || p.Template != nil || p.Source != nil || p.CopyOf != "" || p.From != nil
}

func (p *File) format() string {
	if p.Format != "" {
		return p.Format
	}
	return conf.FormatOf(p.Path)
}

func (p *File) attr() task.Attr {
	mode, _ := p.Mode.FileMode() // checked by its format
	return task.Attr{Mode: mode, Owner: p.Owner, Group: p.Group}
}

// Changes implements task.Task.
func (p *File) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.named(ctx, h); err != nil {
		return nil, err
	}
	switch {
	case p.Absent:
		return p.absent(ctx, h)
	case p.Symlink != "":
		return p.symlink(ctx, h)
	case p.Directory:
		return p.directory(ctx, h)
	}
	now, err := look(ctx, h, p.Path)
	if err != nil {
		return nil, err
	}
	if now != nil && now.Mode.IsDir() {
		return nil, task.Failf("%s is a directory", p.Path).WithHint("use `directory: true`, or remove it first with `absent: true`")
	}
	if now != nil && now.Mode&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0 {
		return nil, task.Failf("%s is no file: %s", p.Path, special(now.Mode)).WithHint("look who made it; remove it first with `absent: true` if it may go")
	}
	if now == nil && !p.hasSource() && p.Missing != "create" {
		if p.Missing == "ok" {
			return nil, nil
		}
		return nil, notyet.Failf("path:"+p.Path, "there is no file %s to edit", p.Path).
			WithHint("let this task need the one that makes it, give a source, or say `missing: ok` or `missing: create`")
	}
	if err := p.parent(ctx, h); err != nil {
		return nil, err
	}
	if big := p.asItIs(); big != nil {
		return p.send(ctx, h, *big, now)
	}
	return p.compare(ctx, h, now)
}

// special names what a path is that has no content of its own: who reads it may wait for ever.
func special(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// look returns what is at a path, links followed; nil when there is nothing.
func look(ctx context.Context, h task.Host, name string) (*task.FileInfo, error) {
	fi, err := h.Stat(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &fi, err
}

// parent checks that the directory is there or may be made.
func (p *File) parent(ctx context.Context, h task.Host) error {
	dir := path.Dir(p.Path)
	fi, err := look(ctx, h, dir)
	switch {
	case err != nil:
		return err
	case fi == nil && !p.Parents:
		return notyet.Failf("path:"+dir, "there is no directory %s", dir).
			WithHint("say `parents: true` to make it, or let this task need the one that does")
	case fi != nil && !fi.Mode.IsDir():
		return task.Failf("%s is not a directory", dir).WithHint("a file is where a directory should be: look who made it, and remove it first with `absent: true` if it may go")
	}
	return nil
}

// compare finds the differences of a file whose content is at hand.
func (p *File) compare(ctx context.Context, h task.Host, now *task.FileInfo) ([]task.Change, error) {
	before := ""
	if now != nil {
		b, err := h.ReadFile(ctx, p.Path)
		if err != nil {
			return nil, err
		}
		before = string(b)
	}
	w, err := p.wanted(ctx, h, before)
	if err != nil {
		return nil, err
	}
	if now != nil && before == w.text {
		return p.attributes(now), nil
	}
	w.secret = w.secret || private(before) || private(w.text)
	return []task.Change{p.write(now, before, w)}, nil
}

// private recognises keys, which no diff may show even if nobody said that they are secret.
func private(text string) bool {
	return strings.Contains(text, "PRIVATE KEY-----") || strings.Contains(text, "client-key-data:")
}

// Interface guards.
var (
	_ task.Checker = (*File)(nil)
	_ task.Toucher = (*File)(nil)
)
