// Package download is the kind download: a file or an unpacked archive from a URL.
//
// # What is compared
//
// A file is what it should be if its SHA-256 is the declared one. Without a checksum, and for archives that are unpacked
// and not kept, kflow keeps a record on the host: where it came from, its SHA-256, and the hash of every file that was
// unpacked. The files are hashed again each time: a record alone proves nothing about them. No request is sent for what
// is there.
//
// # Downloading
//
// stream.go reads a URL as one stream that survives broken connections: it asks for the rest (Range, If-Range) and goes
// on. The file is written beside its place and renamed when its checksum is right, so nobody sees half of it.
package download

import (
	"encoding/hex"
	"net/url"
	"path"
	"strings"
	"sync"

	"github.com/kflow/kflow/engine/task"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	readers := new(sync.Pool) // of gzip: each has a window of 32 KiB
	return task.Kind{
		Name:    "download",
		Summary: "A file or an unpacked archive from a URL, verified",
		Doc: `Downloads a file, by the host itself or through the controller (via: controller) where hosts reach no network: then it is
fetched once per run for all hosts. Broken connections are taken up where they broke; the file appears only when it is complete
and its SHA-256 is right. With unpack, a tar archive (plain or gzip) is unpacked; entries that would lie outside of the directory are
refused.

A file with the right SHA-256 is left alone, without any request. Without a checksum, a file is right while it is what
kflow downloaded from this very URL; a new file under the same URL is not noticed, so give a checksum, or a URL that
names the version. Where nobody publishes a checksum, say what must come (expect: manifests): a damaged file, or the page of a
proxy, is refused then, and the next attempt gets it again. What was unpacked is hashed file by file; files of an earlier version that the new archive does not have stay.

checksum_url names the .sha256 file many projects publish beside their archives: a hash, or lines of hash and name.`,
		New:     func() task.Task { return &Download{readers: readers} },
		Outputs: Outputs{},
		Examples: []task.Example{
			{Title: "Unpack an archive", YAML: `- id: containerd
  download:
    url: https://github.com/containerd/containerd/releases/download/v1.6.33/containerd-1.6.33-linux-amd64.tar.gz
    checksum_url: https://github.com/containerd/containerd/releases/download/v1.6.33/containerd-1.6.33-linux-amd64.tar.gz.sha256sum
    unpack: {to: /usr/local}
`},
			{Title: "A program", YAML: `- id: runc
  download:
    url: https://github.com/opencontainers/runc/releases/download/v1.1.12/runc.amd64
    path: /usr/local/sbin/runc
    mode: "0755"
    checksum: sha256:aadeef400b8f05645768c1476d1023f7875b78f52c7ff1967a6dbce236b8cbd8
`},
			{Title: "Through the controller, one file of an archive", YAML: `- id: nerdctl
  download:
    url: https://github.com/containerd/nerdctl/releases/download/v1.4.0/nerdctl-1.4.0-linux-amd64.tar.gz
    via: controller
    unpack: {to: /usr/local/bin, include: [nerdctl]}
`},
		},
	}
}

// Outputs are the outputs.
type Outputs struct {
	Path   string `json:"path" doc:"Where the file is; empty if it was only unpacked."`
	SHA256 string `json:"sha256" doc:"Its SHA-256 in hex."`
}

// Download are the parameters.
type Download struct {
	URL         string    `json:"url" kf:"required,format=url" doc:"Where it comes from, http or https."`
	Path        string    `json:"path" kf:"format=path" doc:"File to write. Not needed with unpack; with both the archive is kept."`
	Checksum    string    `json:"checksum" doc:"SHA-256 of the file, sha256:HEX or HEX."`
	ChecksumURL string    `json:"checksum_url" kf:"format=url" doc:"File that has the SHA-256: the hash alone, or lines of hash and file name."`
	Expect      string    `json:"expect" kf:"enum=manifests" doc:"What the file must be, checked before it takes its place: manifests = YAML of Kubernetes objects."`
	Via         string    `json:"via" kf:"enum=host|controller" default:"host" doc:"Who downloads: the host itself, or the controller for all hosts."`
	Unpack      *Unpack   `json:"unpack" doc:"Unpack the file, a tar archive."`
	Mode        task.Mode `json:"mode" doc:"Permissions of the file at path, for example 0755."`
	Owner       string    `json:"owner" doc:"Owner of the file at path."`
	Group       string    `json:"group" doc:"Group of the file at path."`

	rec     *record // as Changes has read it, or apply has written it
	wrote   string
	readers *sync.Pool
}

// Unpack says what to take out of an archive.
type Unpack struct {
	To      string       `json:"to" kf:"required,short,format=path" doc:"Directory to unpack into; it is made when missing."`
	Strip   int          `json:"strip" kf:"min=0" doc:"Leading parts to cut off the names in the archive."`
	Include task.Strings `json:"include" doc:"What to take, as patterns of names after strip (bin/*, nerdctl); default: everything."`
}

// Check implements task.Checker.
func (p *Download) Check() error {
	if u, err := url.Parse(p.URL); err == nil && u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		return task.Failf("url: %s is not supported, only http and https", u.Scheme)
	}
	if p.Path == "" && p.Unpack == nil {
		return task.Failf("neither path nor unpack is given: where shall the file go?")
	}
	if strings.HasSuffix(p.Path, "/") {
		return task.Failf("path %q is a directory", p.Path).WithHint("name the file: %s", p.Path+p.name())
	}
	if p.Checksum != "" && p.ChecksumURL != "" {
		return task.Failf("only one of checksum and checksum_url may be given")
	}
	if p.Checksum != "" && !isSHA256(p.sum()) {
		return task.Failf("checksum %q is not a SHA-256", p.Checksum).WithHint("it has 64 hex digits, with or without sha256: before them")
	}
	if p.Unpack != nil && zip(p.URL) {
		return task.Failf("%s is not a tar archive", p.name()).WithHint("plain tar and tar.gz can be unpacked")
	}
	if p.Expect != "" && p.Unpack != nil {
		return task.Failf("expect: manifests is for a file, not for an archive that is unpacked")
	}
	_, err := p.Mode.FileMode()
	return err
}

func zip(url string) bool {
	for _, ext := range []string{".zip", ".xz", ".bz2", ".zst", ".rpm", ".deb"} {
		if strings.HasSuffix(url, ext) {
			return true
		}
	}
	return false
}

// sum is the declared SHA-256 in lower case hex.
func (p *Download) sum() string { return strings.ToLower(strings.TrimPrefix(p.Checksum, "sha256:")) }

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

// name is the last part of the URL.
func (p *Download) name() string {
	u, err := url.Parse(p.URL)
	if err != nil {
		return p.URL
	}
	return path.Base(u.Path)
}

// Touches implements task.Toucher.
func (p *Download) Touches() task.Touches {
	var t task.Touches
	if p.Path != "" {
		t.Writes = append(t.Writes, "path:"+p.Path)
	}
	if p.Unpack == nil {
		return t
	}
	literal := false
	for _, pattern := range p.Unpack.Include {
		if !strings.ContainsAny(pattern, `*?[\`) {
			literal = true
			t.Writes = append(t.Writes, "path:"+path.Join(p.Unpack.To, pattern))
		}
	}
	if !literal {
		// Which files an archive has is not known here. Several archives often go to one directory (/usr/local), so that
		// is no conflict; the archive itself is what this task makes.
		t.Writes = append(t.Writes, "path:"+path.Join(p.Unpack.To, ".kflow-"+p.name()))
	}
	return t
}

// Interface guards.
var (
	_ task.Checker   = (*Download)(nil)
	_ task.Toucher   = (*Download)(nil)
	_ task.Outputter = (*Download)(nil)
)
