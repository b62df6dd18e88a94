package sim_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/tasks"
)

const flagship = "../../playbooks/ha-containerd.yaml"

func open(t testing.TB, playbook string, sizes sim.Sizes, set ...string) *engine.Project {
	t.Helper()
	p, found := engine.Open(t.Context(), engine.Config{Playbook: playbook, Kinds: tasks.All(), Environ: []string{}, Set: set,
		Stage: &engine.Stage{Inventory: sizes.Inventory}})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

// openOn is open, for hosts of these names.
func openOn(t testing.TB, playbook string, names []string) *engine.Project {
	t.Helper()
	p, found := engine.Open(t.Context(), engine.Config{Playbook: playbook, Kinds: tasks.All(), Environ: []string{},
		Stage: &engine.Stage{Inventory: hostsNamed(names)}})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

func world(seed uint64, os ...string) *sim.World {
	return sim.NewWorld(sim.Options{Seed: seed, OS: os, Kinds: tasks.All()})
}

// recorder keeps what matters of a run.
type recorder struct {
	events  []string
	changed []string
	failed  []string
	ended   event.Event
}

func (r *recorder) Emit(e event.Event) {
	b, _ := json.Marshal(e)
	r.events = append(r.events, string(b))
	switch {
	case e.Type == event.RunEnded:
		r.ended = e
	case e.Type != event.InstanceEnded:
	case e.Changed:
		r.changed = append(r.changed, e.Instance)
	case e.Failure != nil:
		r.failed = append(r.failed, e.Instance+": "+e.Failure.Summary+" "+e.Failure.Output)
	}
}

func run(t *testing.T, s *sim.Session) *recorder {
	t.Helper()
	r := new(recorder)
	if _, err := s.Run(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFlagship carries the shipped playbook out on every family, and once more: nothing is left to do.
func TestFlagship(t *testing.T) {
	p := open(t, flagship, nil)
	for _, os := range append(host.Families(), "rocky9 debian12") {
		t.Run(os, func(t *testing.T) {
			w := world(1, strings.Fields(os)...)
			first := run(t, sim.NewSession(p, w))
			if first.ended.Exit != 0 {
				t.Fatalf("exit %d: %s", first.ended.Exit, strings.Join(first.failed, "\n"))
			}
			if d := first.ended.Duration; d < time.Minute || d > time.Hour {
				t.Errorf("it took %s of simulated time", d)
			}
			if again := run(t, sim.NewSession(p, w)); again.ended.Exit != 0 || len(again.changed) > 0 {
				t.Errorf("a second run: exit %d, changed %v", again.ended.Exit, again.changed)
			}
		})
	}
}

// TestShipped does the same with the other playbooks, on the families they are for and in the ways they can go.
func TestShipped(t *testing.T) {
	for _, c := range []struct {
		name, playbook, os string
		set                []string
	}{
		{"docker-cri", "docker-cri", "rocky9", nil},
		{"docker-cri on Ubuntu", "docker-cri", "ubuntu24.04", []string{"example=true"}},
		{"docker-cri as in the first procedure", "docker-cri", "rocky9", []string{"kubernetes_version=1.29.2", "pause_tag=3.9", "cni=calico",
			"calico_version=3.26.3", "calico_ipip=Never", "calico_ip_autodetection=interface=enp0s3", "docker_repository=https://mirrors.ustc.edu.cn/docker-ce/linux",
			"docker_data_root=/data/docker", `extra_hosts={"harbor": "192.168.1.13"}`, "service_subnet=10.0.0.0/12", "proxy_mode=iptables"}},
		{"centos7-docker", "centos7-docker", "centos7", nil},
		{"minikube", "minikube", "ubuntu24.04", nil},
		{"minikube on Rocky", "minikube", "rocky9", []string{"image_repository=registry.aliyuncs.com/google_containers", "metrics_server=false"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, "../../playbooks/"+c.playbook+".yaml", nil, c.set...)
			w := world(1, c.os)
			if first := run(t, sim.NewSession(p, w)); first.ended.Exit != 0 {
				t.Fatalf("exit %d: %s", first.ended.Exit, strings.Join(first.failed, "\n"))
			}
			if again := run(t, sim.NewSession(p, w)); again.ended.Exit != 0 || len(again.changed) > 0 {
				t.Errorf("a second run: exit %d, changed %v", again.ended.Exit, again.changed)
			}
		})
	}
}

// TestKinds does the same with a playbook of the kinds that differ between families.
func TestKinds(t *testing.T) {
	p := open(t, "testdata/kinds.yaml", sim.Sizes{"nodes": 4})
	w := world(1, host.Families()...)
	first := run(t, sim.NewSession(p, w))
	if first.ended.Exit != 0 {
		t.Fatalf("exit %d: %s", first.ended.Exit, strings.Join(first.failed, "\n"))
	}
	again := run(t, sim.NewSession(p, w))
	for _, name := range again.changed {
		if !strings.HasPrefix(name, "restart@") {
			t.Errorf("a second run changes %s", name)
		}
	}
}

func TestSameSeedSameRun(t *testing.T) {
	p := open(t, flagship, sim.Sizes{"workers": 9})
	seen := map[uint64]string{}
	for _, seed := range []uint64{1, 1, 1, 2} {
		w := world(seed)
		f, err := sim.ParseFault("join_control_plane@k8s-mn02:drop")
		if err != nil {
			t.Fatal(err)
		}
		w.Faults.Add(f)
		all := strings.Join(run(t, sim.NewSession(p, w)).events, "\n")
		if before, ok := seen[seed]; ok && before != all {
			t.Fatalf("seed %d gave two runs: %s", seed, firstDifference(before, all))
		}
		seen[seed] = all
	}
	if seen[1] == seen[2] {
		t.Error("another seed gave the same run")
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return "\n" + x[i] + "\n" + y[i]
		}
	}
	return "one is longer"
}

// TestRehearsal is the worked example of docs/simulate.md: the second control plane is lost during its join, and by the
// time somebody goes on, token and certificate key have expired.
func TestRehearsal(t *testing.T) {
	p := open(t, flagship, nil)
	w := world(1)
	f, err := sim.ParseFault("join_control_plane@k8s-mn02:unreachable:forever")
	if err != nil {
		t.Fatal(err)
	}
	w.Faults.Add(f)
	s := sim.NewSession(p, w)
	first := run(t, s)
	if first.ended.Exit != 4 || len(first.ended.Roots) == 0 || first.ended.Roots[0].Instance != "join_control_plane@k8s-mn02" {
		t.Fatalf("exit %d, roots %v", first.ended.Exit, first.ended.Roots)
	}
	s.Heal(3 * time.Hour)
	second := run(t, s)
	if second.ended.Exit != 0 {
		t.Fatalf("resume: exit %d: %s", second.ended.Exit, strings.Join(second.failed, "\n"))
	}
	if !strings.Contains(strings.Join(second.changed, " "), "join_info@") {
		t.Error("the resume made no new token")
	}
}

func TestFaultsThatMatchNothing(t *testing.T) {
	targets := sim.Targets(open(t, flagship, nil))
	for text, want := range map[string]string{
		"inti@k8s-mn01:fail":       "did you mean `init`?",
		"init@k8s-mn1:fail":        "did you mean `k8s-mn01`?",
		"init@k8s-mn01:fial":       "did you mean `fail`?",
		"init@k8s-wn01:fail":       "does not run on `k8s-wn01`",
		"init":                     "is not TASK@HOST:KIND",
		"init@k8s-mn01:fail:often": "often",
		"controller:kill":          "at which event",
	} {
		f, err := sim.ParseFault(text)
		if err == nil {
			err = f.Check(targets)
		}
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		said := err.Error()
		var h interface{ Help() string }
		if errors.As(err, &h) {
			said += " " + h.Help()
		}
		if !strings.Contains(said, want) {
			t.Errorf("%s: %q does not say %q", text, said, want)
		}
	}
}

// TestSweep tries a sample of all faults at all instances, in the main job as it is and in one that goes other ways; the
// whole is a make target.
func TestSweep(t *testing.T) {
	file, err := filepath.Abs("testdata/kinds.yaml") // any will do
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name   string
		every  int
		os     []string
		inputs []string
	}{
		{name: "as it is", every: 149},
		{name: "external etcd", every: 503, os: []string{"debian12", "rocky9"}, inputs: []string{`etcd_endpoints=["https://10.9.0.1:2379"]`, "etcd_ca_file=" + file,
			"etcd_cert_file=" + file, "etcd_key_file=" + file, "nerdctl_version=1.4.0", "buildkit_version=0.11.6"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			if testing.Short() {
				v.every *= 3
			}
			s := &sim.Sweep{Project: open(t, flagship, nil, v.inputs...), Every: v.every, Workers: 2, Gap: 3 * time.Hour,
				Options: sim.Options{Seed: 1, OS: v.os, Kinds: tasks.All()}}
			cases, err := s.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			table, wrong := sim.Table(cases)
			if wrong > 0 || len(cases) == 0 {
				t.Errorf("%s", table)
			}
		})
	}
}

// TestUnknownProgram: what the simulator does not know is an error that names it, never a guess.
func TestUnknownProgram(t *testing.T) {
	p := open(t, "testdata/unknown.yaml", sim.Sizes{})
	r := run(t, sim.NewSession(p, world(1)))
	said := strings.Join(r.failed, "\n")
	if r.ended.Exit == 0 || !strings.Contains(said, "systemctl cat sshd") {
		t.Errorf("exit %d: %s", r.ended.Exit, said)
	}
}
