// Package internet answers the requests of simulated hosts that go to none of them: the downloads of playbooks. Every URL
// is there; what comes is small, has the file names and versions that the real archive has as far as tasks look at them,
// and is the same each time. A checksum file has the checksum of the archive beside it. How long an answer takes follows
// from how large the real file is.
package internet

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Internet is all servers. It is safe for concurrent use.
type Internet struct {
	mu    sync.Mutex
	files map[string]string // by URL
}

// New returns the internet.
func New() *Internet { return &Internet{files: map[string]string{}} }

// Get answers a request. It says how long the transfer takes.
func (i *Internet) Get(req *http.Request, corrupt bool) (*http.Response, time.Duration) {
	text := i.file(req.URL.String())
	if corrupt {
		text = damaged(text)
	}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: req}, transfer(req.URL.Path)
}

// damaged is a text with some bytes in its middle replaced, of the same length: what tells of it is only what looks at all of
// it.
func damaged(text string) string {
	const noise = "\x00damage\x00"
	at := max(0, len(text)-len(noise)) / 2
	return text[:at] + noise[:min(len(noise), len(text))] + text[min(len(text), at+len(noise)):]
}

func (i *Internet) file(url string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	text, ok := i.files[url]
	if !ok {
		text = content(url)
		i.files[url] = text
	}
	return text
}

// transfer is how long the real file takes at 20 MB/s.
func transfer(name string) time.Duration {
	for part, t := range map[string]time.Duration{"containerd-": 2300 * time.Millisecond, "cni-plugins": 2100 * time.Millisecond, "runc.amd64": 500 * time.Millisecond,
		"nerdctl": 600 * time.Millisecond, "buildkit": 2600 * time.Millisecond, "docker": 3500 * time.Millisecond, "minikube-": 6 * time.Second} {
		if strings.Contains(name, part) && !IsChecksum(name) {
			return t
		}
	}
	return 250 * time.Millisecond
}

// IsChecksum tells whether a file has the checksums of others. It is never damaged: a checksum that is wrong shows at once.
func IsChecksum(name string) bool {
	for _, end := range []string{".sha256sum", ".sha256", ".sha256sums", "SHA256SUMS"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

func content(url string) string {
	name := path.Base(url)
	switch {
	case IsChecksum(url):
		return sums(url)
	case strings.HasSuffix(name, ".key"), strings.HasSuffix(name, "gpg"):
		return "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + base64.StdEncoding.EncodeToString([]byte("\x99simulated key of "+url)) + "\n-----END PGP PUBLIC KEY BLOCK-----\n"
	case strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".yml"):
		return manifest(url)
	case strings.HasSuffix(name, ".tar.gz"), strings.HasSuffix(name, ".tgz"):
		return archive(name, versionIn(name))
	}
	return "simulated " + name + " version " + versionIn(url) + "\n"
}

func versionIn(name string) string {
	if m := regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(name); m != "" {
		return m
	}
	return "1.0.0"
}

// sums are the checksums of the files that a checksum file stands beside.
func sums(url string) string {
	base := url
	for _, end := range []string{".sha256sum", ".sha256", ".sha256sums"} {
		base = strings.TrimSuffix(base, end)
	}
	var out strings.Builder
	names := []string{base}
	if name := path.Base(base); path.Ext(name) == "" && !strings.Contains(name, "-") { // runc.sha256sum has all architectures
		names = []string{base + ".amd64", base + ".arm64"}
	}
	for _, n := range names {
		sum := sha256.Sum256([]byte(content(n)))
		fmt.Fprintf(&out, "%s  %s\n", hex.EncodeToString(sum[:]), path.Base(n))
	}
	return out.String()
}

// archive is a tar archive with the programs of a release.
func archive(name, version string) string {
	files := []string{strings.TrimSuffix(strings.TrimSuffix(name, ".tar.gz"), ".tgz")}
	switch {
	case strings.HasPrefix(name, "containerd-"):
		files = []string{"bin/containerd", "bin/containerd-shim", "bin/containerd-shim-runc-v1", "bin/containerd-shim-runc-v2", "bin/containerd-stress", "bin/ctr"}
	case strings.HasPrefix(name, "cni-plugins"):
		files = []string{"bandwidth", "bridge", "dhcp", "dummy", "firewall", "host-device", "host-local", "ipvlan", "loopback", "macvlan", "portmap", "ptp", "sbr", "static", "tuning", "vlan", "vrf"}
	case strings.HasPrefix(name, "buildkit"):
		files = []string{"bin/buildkitd", "bin/buildctl", "bin/buildkit-runc"}
	case strings.HasPrefix(name, "nerdctl"):
		files = []string{"nerdctl", "containerd-rootless.sh", "containerd-rootless-setuptool.sh"}
	case strings.HasPrefix(name, "crictl"):
		files = []string{"crictl"}
	case strings.HasPrefix(name, "cri-dockerd"):
		files = []string{"cri-dockerd/cri-dockerd"}
	case strings.HasPrefix(name, "docker-"):
		files = []string{"docker/docker", "docker/dockerd", "docker/containerd", "docker/ctr", "docker/runc", "docker/containerd-shim-runc-v2", "docker/docker-init", "docker/docker-proxy"}
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		text := "simulated " + path.Base(f) + " version " + version + "\n"
		_ = w.WriteHeader(&tar.Header{Name: f, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg}) // a buffer takes everything
		_, _ = io.WriteString(w, text)
	}
	_ = w.Close()
	_ = z.Close()
	return b.String()
}
