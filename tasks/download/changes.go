package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
)

// recordDir is where the records are kept on hosts.
const recordDir = "/var/lib/kflow/downloads"

// record is what kflow notes of a download.
type record struct {
	URL         string  `json:"url"`
	ChecksumURL string  `json:"checksum_url,omitempty"`
	SHA256      string  `json:"sha256"`
	Expect      string  `json:"expect,omitempty"`
	Unpacked    string  `json:"unpacked,omitempty"` // strip and include
	Files       []entry `json:"files,omitempty"`
}

// entry is an unpacked file.
type entry struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256,omitempty"`
	Mode   string `json:"mode,omitempty"`
	Link   string `json:"link,omitempty"`
}

// recordPath depends on where the file goes, for archives also on where it comes from: several may go to one directory.
func (p *Download) recordPath() string {
	key := p.Path
	if p.Unpack != nil {
		key += "\x00" + p.Unpack.To + "\x00" + p.URL
	}
	sum := sha256.Sum256([]byte(key))
	return path.Join(recordDir, hex.EncodeToString(sum[:8])+".json")
}

func (p *Download) readRecord(ctx context.Context, h task.Host) (*record, error) {
	text, exists, err := hostfile.Read(ctx, h, p.recordPath())
	if err != nil || !exists {
		return nil, err
	}
	if text == p.wrote {
		return p.rec, nil
	}
	r := new(record)
	if json.Unmarshal([]byte(text), r) != nil || r.URL != p.URL || r.ChecksumURL != p.ChecksumURL || r.Expect != p.Expect {
		return nil, nil // of another version of this task: as if there were none
	}
	return r, nil
}

// Changes implements task.Task.
func (p *Download) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	rec, err := p.readRecord(ctx, h)
	if p.rec = rec; err != nil {
		return nil, err
	}
	want, err := p.wanted(ctx, h, rec)
	if err != nil {
		return nil, err
	}
	why, err := p.differs(ctx, h, rec, want)
	if err == nil && why != "" && rec != nil && p.ChecksumURL != "" { // the server may have another file by now
		if want, err = p.wanted(ctx, h, nil); err == nil {
			why, err = p.differs(ctx, h, rec, want)
		}
	}
	if err != nil {
		return nil, err
	}
	if why != "" {
		return []task.Change{{
			Summary: p.summary(), Diff: why,
			Apply: func(ctx context.Context, h task.Host) error { return p.apply(ctx, h, want) },
		}}, nil
	}
	return p.attributes(ctx, h)
}

func (p *Download) summary() string {
	switch {
	case p.Unpack == nil:
		return "download " + p.Path
	case p.Path == "":
		return "download " + p.name() + " and unpack it into " + p.Unpack.To
	}
	return "download " + p.Path + " and unpack it into " + p.Unpack.To
}

// wanted is the SHA-256 the file must have; "" = any.
func (p *Download) wanted(ctx context.Context, h task.Host, rec *record) (string, error) {
	if p.ChecksumURL == "" {
		return p.sum(), nil
	}
	if rec != nil {
		return rec.SHA256, nil // asked when it was downloaded, and again when it has to be downloaded again
	}
	r, err := p.open(ctx, h, p.ChecksumURL, "")
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return "", err
	}
	if sum := findSum(string(b), p.name()); sum != "" {
		return sum, nil
	}
	return "", task.Failf("%s has no SHA-256 for %s", p.ChecksumURL, p.name()).
		WithHint("it should hold the hash alone, or lines of hash and file name; give the hash as checksum instead")
}

// findSum finds the hash of a file in the text of a checksum file.
func findSum(text, name string) string {
	var only []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || !isSHA256(f[0]) {
			continue
		}
		if len(f) > 1 && path.Base(strings.TrimPrefix(f[1], "*")) == name {
			return strings.ToLower(f[0])
		}
		only = append(only, strings.ToLower(f[0]))
	}
	if len(only) == 1 {
		return only[0]
	}
	return ""
}

// differs says why the download is needed; "" = it is not.
func (p *Download) differs(ctx context.Context, h task.Host, rec *record, want string) (string, error) {
	if p.Path != "" {
		have, err := hostfile.Hash(ctx, h, p.Path)
		switch {
		case err != nil:
			return "", err
		case have == "":
			return p.Path + ": absent -> " + p.URL, nil
		case want == "" && (rec == nil || rec.SHA256 != have):
			return p.Path + ": not known to be from " + p.URL, nil
		case want != "" && have != want:
			return fmt.Sprintf("%s: sha256 %s -> %s", p.Path, have, want), nil
		}
	}
	if p.Unpack == nil {
		return "", nil
	}
	if rec == nil || rec.Unpacked != p.Unpack.options() || (want != "" && rec.SHA256 != want) {
		return p.Unpack.To + ": " + p.name() + " has not been unpacked", nil
	}
	for _, e := range rec.Files {
		if why, err := e.differs(ctx, h); why != "" || err != nil {
			return why, err
		}
	}
	return "", nil
}

// differs says what is different from what was unpacked.
func (e entry) differs(ctx context.Context, h task.Host) (string, error) {
	info, err := h.Lstat(ctx, e.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return e.Path + ": absent", nil
	}
	if err != nil {
		return "", err
	}
	if e.Link != "" {
		if info.Target != e.Link {
			return e.Path + ": is not a link to " + e.Link, nil
		}
		return "", nil
	}
	if mode := modeText(info.Mode); mode != e.Mode {
		return fmt.Sprintf("%s: mode %s -> %s", e.Path, mode, e.Mode), nil
	}
	have, err := hostfile.Hash(ctx, h, e.Path)
	if err == nil && have != e.SHA256 {
		return e.Path + ": content differs from the archive", nil
	}
	return "", err
}

// modeText is the mode of an unpacked file: only who may do what with it.
func modeText(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

// attributes finds what differs in mode and owner of the file.
func (p *Download) attributes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if p.Path == "" {
		return nil, nil
	}
	info, err := h.Stat(ctx, p.Path)
	if err != nil {
		return nil, err
	}
	attr, err := p.attr()
	if err != nil {
		return nil, err
	}
	var diff []string
	add := func(what, have, want string) {
		if want != "" && have != want {
			diff = append(diff, what+": "+have+" -> "+want)
		}
	}
	if attr.Mode != 0 {
		add("mode", hostfile.Octal(info.Mode), hostfile.Octal(attr.Mode))
	}
	owner, err := hostfile.UserName(ctx, h, p.Owner)
	if err != nil {
		return nil, err
	}
	group, err := hostfile.GroupName(ctx, h, p.Group)
	if err != nil {
		return nil, err
	}
	add("owner", info.Owner, owner)
	add("group", info.Group, group)
	if diff == nil {
		return nil, nil
	}
	return []task.Change{{
		Summary: "set attributes of " + p.Path, Diff: strings.Join(diff, "\n"),
		Apply: func(ctx context.Context, h task.Host) error { return h.SetAttr(ctx, p.Path, attr) },
	}}, nil
}

func (p *Download) attr() (task.Attr, error) {
	mode, err := p.Mode.FileMode()
	return task.Attr{Mode: mode, Owner: p.Owner, Group: p.Group}, err
}

// apply downloads, unpacks, and notes what has been done last.
func (p *Download) apply(ctx context.Context, h task.Host, want string) error {
	file := p.Path
	attr, err := p.attr()
	if err != nil {
		return err
	}
	if file == "" {
		file = strings.TrimSuffix(p.recordPath(), ".json") + ".archive"
		attr = task.Attr{Mode: 0o600}
		defer func() { _ = h.Remove(context.WithoutCancel(ctx), file) }()
	}
	sum, err := p.get(ctx, h, file, want, attr)
	if err != nil {
		return err
	}
	if p.Checksum != "" && p.Unpack == nil {
		return nil // the file speaks for itself
	}
	rec := record{URL: p.URL, ChecksumURL: p.ChecksumURL, SHA256: sum, Expect: p.Expect}
	if p.Unpack != nil {
		rec.Unpacked = p.Unpack.options()
		if rec.Files, err = p.Unpack.unpack(ctx, h, file, p.readers); err != nil {
			return err
		}
	}
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	p.wrote, p.rec = string(b)+"\n", &rec
	return hostfile.Write(ctx, h, p.recordPath(), p.wrote, task.Attr{})
}

// get has the file in its place, and returns its SHA-256.
func (p *Download) get(ctx context.Context, h task.Host, file, want string, attr task.Attr) (string, error) {
	if want != "" {
		if have, err := hostfile.Hash(ctx, h, file); err != nil || have == want {
			return have, err // only unpacking is left to do
		}
	}
	r, err := p.open(ctx, h, p.URL, want)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	if err := h.MkdirAll(ctx, path.Dir(file), task.Attr{}); err != nil {
		return "", err
	}
	v := newVerifier(r, p.URL, want)
	if err := h.WriteFile(ctx, file, p.expect(v), attr); err != nil {
		return "", err
	}
	return v.sum(), nil
}

// open opens a URL, on the host or through the controller.
func (p *Download) open(ctx context.Context, h task.Host, url, want string) (io.ReadCloser, error) {
	if p.Via == "controller" {
		return h.Controller().Download(ctx, url, want)
	}
	return newStream(ctx, h, url)
}

// Uses implements task.ControllerUser.
func (p *Download) Uses() task.ControllerUse {
	if p.Via != "controller" {
		return task.ControllerUse{}
	}
	return task.ControllerUse{URLs: []string{p.URL, p.ChecksumURL}}
}

// Outputs implements task.Outputter.
func (p *Download) Outputs(ctx context.Context, h task.Host) (any, error) {
	if p.rec != nil { // Changes has just read it
		return Outputs{Path: p.Path, SHA256: p.rec.SHA256}, nil
	}
	sum, err := hostfile.Hash(ctx, h, p.Path)
	return Outputs{Path: p.Path, SHA256: sum}, err
}
