package kubeadm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/kube"
)

const (
	// patience is how long an API that should be there is asked again: a load balancer needs seconds to notice that a
	// server behind it has gone.
	patience = 30 * time.Second
	// markerLife ends the time in which kflow resets what an attempt of its own left.
	markerLife = 24 * time.Hour

	markerDir     = "/var/lib/kflow/kubeadm"
	bootstrapConf = "/etc/kubernetes/bootstrap-kubelet.conf"
	manifestDir   = "/etc/kubernetes/manifests"
	pkiDir        = "/etc/kubernetes/pki"
)

// state is what kubeadm has left on a host.
type state struct {
	adminConf, kubeletConf, bootstrapConf bool
	apiserver, etcd                       bool // their manifests
	etcdData                              string
	marker                                *marker
}

// marker says that kflow has started kubeadm and not seen its end.
type marker struct {
	Started string  `json:"started"`
	Boot    string  `json:"boot,omitempty"`
	Uptime  float64 `json:"uptime,omitempty"` // seconds
	path    string
}

// inspect looks at a host. what is init or join.
func inspect(ctx context.Context, h task.Host, what, dataDir string) (*state, error) {
	s := new(state)
	var errs []error
	for _, f := range []struct {
		path  string
		there *bool
	}{
		{kube.AdminConf, &s.adminConf}, {kube.KubeletConf, &s.kubeletConf}, {bootstrapConf, &s.bootstrapConf},
		{manifestDir + "/kube-apiserver.yaml", &s.apiserver}, {manifestDir + "/etcd.yaml", &s.etcd},
	} {
		var err error
		*f.there, err = hostfile.Exists(ctx, h, f.path)
		errs = append(errs, err)
	}
	if dataDir != "" {
		there, err := hostfile.Exists(ctx, h, path.Join(dataDir, "member"))
		errs = append(errs, err)
		if there {
			s.etcdData = dataDir
		}
	}
	var err error
	s.marker, err = readMarker(ctx, h, what)
	return s, errors.Join(append(errs, err)...)
}

// fresh tells whether kubeadm has left nothing here. Certificates and static pods of one's own may be there before.
func (s *state) fresh() bool {
	return !s.adminConf && !s.kubeletConf && !s.bootstrapConf && !s.apiserver && !s.etcd && s.etcdData == "" && s.marker == nil
}

// what names what is there, for an error.
func (s *state) what() string {
	var there []string
	for _, f := range []struct {
		there bool
		name  string
	}{
		{s.adminConf, kube.AdminConf}, {s.kubeletConf, kube.KubeletConf}, {s.bootstrapConf, bootstrapConf},
		{s.apiserver, manifestDir + "/kube-apiserver.yaml"}, {s.etcd, manifestDir + "/etcd.yaml"}, {s.etcdData != "", s.etcdData + "/member"},
	} {
		if f.there {
			there = append(there, f.name)
		}
	}
	return strings.Join(there, ", ")
}

// foreign is the error for something kflow has not made: it is not kflow's to remove.
func (s *state) foreign() error {
	f := task.Failf("this host already has parts of a cluster that kflow did not set up here: %s", s.what())
	if s.kubeletConf && !s.apiserver {
		return f.WithHint("it seems to be a node of a cluster. If that is over, run `kubeadm: {reset: {}}` on it first")
	}
	return f.WithHint("look whether they are still needed. If not, run `kubeadm: {reset: {}}` on this host first")
}

func markerPath(what string) string { return path.Join(markerDir, what+".json") }

func readMarker(ctx context.Context, h task.Host, what string) (*marker, error) {
	name := markerPath(what)
	b, err := h.ReadFile(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &marker{path: name}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// fresh returns an error when the attempt is too old to be thrown away unasked.
func (m *marker) fresh(ctx context.Context, h task.Host) error {
	if age, err := m.age(ctx, h); err == nil && age <= markerLife {
		return nil
	}
	return task.Failf("an attempt to set this host up that began %s was not seen to finish, and is too old to be thrown away unasked", m.Started).
		WithHint("if the host works (`kubectl get nodes`), remove %s and resume; if it may be reset, run `kubeadm: {reset: {}}`", m.path)
}

// age is how long ago the attempt began: by the time the machine has been up, as its clock may have been put right since.
func (m *marker) age(ctx context.Context, h task.Host) (time.Duration, error) {
	if up := uptime(ctx, h); m.Boot != "" && m.Boot == h.Facts().BootID && up > 0 && m.Uptime > 0 {
		return time.Duration((up - m.Uptime) * float64(time.Second)), nil
	}
	t, err := time.Parse(time.RFC3339, m.Started)
	return h.Now().Sub(t), err
}

// uptime is for how many seconds the machine has been up; 0 where it does not say.
func uptime(ctx context.Context, h task.Host) float64 {
	text, _, err := hostfile.Read(ctx, h, "/proc/uptime")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return seconds
}

// mark notes that kubeadm is about to start, and keeps copies of what kubeadm reset would remove although it is not
// kubeadm's: certificates and static pods that were there before.
func mark(ctx context.Context, h task.Host, what string) error {
	if err := h.MkdirAll(ctx, path.Dir(markerDir), task.Attr{}); err != nil {
		return err
	}
	if err := h.MkdirAll(ctx, markerDir, task.Attr{Mode: 0o700}); err != nil {
		return err
	}
	if m, err := readMarker(ctx, h, what); m != nil || err != nil {
		return err // a second attempt: what is there now is not what was there first
	}
	for _, dir := range []string{pkiDir, manifestDir} {
		if err := copyTree(ctx, h, dir, givenDir+dir); err != nil {
			return err
		}
	}
	b, err := json.Marshal(marker{Started: h.Now().UTC().Format(time.RFC3339), Boot: h.Facts().BootID, Uptime: uptime(ctx, h)})
	if err != nil {
		return err
	}
	return hostfile.Write(ctx, h, markerPath(what), string(b)+"\n", task.Attr{Mode: 0o600})
}

// unmark notes that kubeadm has finished.
func unmark(ctx context.Context, h task.Host, what string) error {
	if err := h.Remove(ctx, markerPath(what)); err != nil {
		return err
	}
	return h.Remove(ctx, givenDir)
}

// givenDir keeps what was there before kubeadm.
const givenDir = markerDir + "/given"

// copyTree copies what is below a directory, with modes and owners. A missing directory is an empty one.
func copyTree(ctx context.Context, h task.Host, from, to string) error {
	entries, err := h.ReadDir(ctx, from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		src, dst := path.Join(from, e.Name), path.Join(to, e.Name)
		if e.Mode.IsDir() {
			if err = h.MkdirAll(ctx, dst, task.Attr{}); err == nil {
				err = h.SetAttr(ctx, dst, task.Attr{Mode: e.Mode.Perm(), Owner: e.Owner, Group: e.Group})
			}
			err = errors.Join(err, copyTree(ctx, h, src, dst))
		} else if e.Mode.IsRegular() {
			err = copyFile(ctx, h, src, dst, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(ctx context.Context, h task.Host, from, to string, info task.FileInfo) error {
	b, err := h.ReadFile(ctx, from)
	if err != nil {
		return err
	}
	return hostfile.Write(ctx, h, to, string(b), task.Attr{Mode: info.Mode.Perm(), Owner: info.Owner, Group: info.Group})
}
