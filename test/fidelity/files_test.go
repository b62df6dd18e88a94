package fidelity

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/kflow/kflow/engine/sim/host"
)

// domain is where both sides download from: a server of this test, by the network of the lab or of the simulation.
const domain = "files.fidelity.test"

// images are the archives of images that the lab has.
type images string

// real serves them as they are. small serves what is said of them without their layers, which the simulator does not look at.
func (dir images) real() http.Handler { return http.FileServer(http.Dir(string(dir))) }

func (dir images) small(w http.ResponseWriter, r *http.Request) {
	f, err := os.Open(filepath.Join(string(dir), filepath.Base(r.URL.Path)))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	from, to := tar.NewReader(f), tar.NewWriter(w)
	for h, err := from.Next(); err == nil; h, err = from.Next() {
		if h.Name == "manifest.json" && to.WriteHeader(h) == nil {
			_, _ = io.Copy(to, from) // what is cut off cannot be read by whoever wanted it
		}
	}
	_ = to.Close()
}

// serve starts the server on both sides.
func (f family) serve(t *testing.T, l *lab, s *simulated) {
	t.Helper()
	archives := images(filepath.Join(filepath.Dir(l.run), "files/images"))
	pause, err := os.ReadFile(filepath.Join(string(archives), "pause.tar"))
	if err != nil {
		t.Fatal(err)
	}
	packages := http.StripPrefix("/rpm", http.FileServer(http.Dir(filepath.Join(filepath.Dir(l.run), "files/rpm"))))
	shim, err := os.ReadFile(filepath.Join(filepath.Dir(l.run), "files", shimName))
	if err != nil {
		t.Fatal(err)
	}
	small := tarball(t, tar.Header{Name: "cri-dockerd/cri-dockerd", Typeflag: tar.TypeReg, Mode: 0o755, Size: 5})
	l.serve(t, files(t, archives.real(), packages, map[string][]byte{"/pause.tar": pause, "/" + shimName: shim}))
	s.serve(files(t, http.HandlerFunc(archives.small), http.HandlerFunc(simulatedPackages), map[string][]byte{"/pause.tar": pause, "/" + shimName: small}))
}

// simulatedPackages are package files as the simulator knows them.
func simulatedPackages(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte("simulated " + filepath.Base(r.URL.Path) + "\n"))
}

// shimName is what the lab has for cri-dockerd.
const shimName = "cri-dockerd-0.3.17.amd64.tgz"

// files are what the server has.
func files(t *testing.T, images, packages http.Handler, more map[string][]byte) http.Handler {
	t.Helper()
	all := map[string][]byte{"/tool": []byte("#!/bin/sh\necho tool\n"), "/unchecked": []byte("nobody knows its sum\n"), "/archive.tar.gz": archive(t)}
	maps.Copy(all, more)
	mux := http.NewServeMux()
	for name, data := range all {
		sum := sha256.Sum256(data)
		line := hex.EncodeToString(sum[:]) + "  " + name[1:] + "\n"
		mux.HandleFunc(name, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }) // who does not read it sees that
		mux.HandleFunc(name+".sha256", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(line)) })
	}
	mux.Handle("/rpm/", packages)
	mux.Handle("/v1.29/rpm/", http.StripPrefix("/v1.29", packages)) // by this the simulator knows which versions a repository has
	mux.Handle("/images/", http.StripPrefix("/images/", images))
	return mux
}

func archive(t *testing.T) []byte {
	t.Helper()
	return tarball(t, []tar.Header{
		{Name: "archive/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "archive/bin/", Typeflag: tar.TypeDir, Mode: 0o750},
		{Name: "archive/bin/tool", Typeflag: tar.TypeReg, Mode: 0o755, Size: 5},
		{Name: "archive/bin/link", Typeflag: tar.TypeSymlink, Linkname: "tool", Mode: 0o777},
		{Name: "archive/README", Typeflag: tar.TypeReg, Mode: 0o640, Size: 5, Uid: 1000, Gid: 1000, Uname: "builder", Gname: "builder"},
	}...)
}

// tarball is an archive; files have five bytes in it.
func tarball(t *testing.T, all ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, h := range all {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := tw.Write([]byte("text\n")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// serve is the server, on the network of the lab.
func (l *lab) serve(t *testing.T, files http.Handler) {
	t.Helper()
	listener, err := net.Listen("tcp", l.net+".1:80")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: listener, Config: &http.Server{Handler: files}}
	s.Start()
	t.Cleanup(s.Close)
}

// serve is the same server, on the network of the simulation.
func (s *simulated) serve(files http.Handler) {
	rest := s.world.Network.Internet
	s.world.Network.Internet = func(from *host.Host, req *http.Request) (*http.Response, error) {
		if req.URL.Hostname() != domain {
			return rest(from, req)
		}
		w := httptest.NewRecorder()
		files.ServeHTTP(w, req)
		resp := w.Result()
		resp.Request = req
		return resp, nil
	}
}
