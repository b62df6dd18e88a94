package fidelity

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// excuse is a difference that cannot be mended, with the reason. What matches becomes with, on both sides.
type excuse struct {
	in     string // part of the name of the playbook; "" = any
	match  string
	with   string
	reason string

	re   *regexp.Regexp
	used bool
}

// commonExcuses are those of all families.
func commonExcuses() []*excuse {
	return []*excuse{
		{match: `(kernel |/lib/modules/)(?:6\.1|5\.14)\S+`, with: "${1}X", reason: "hosts of the lab run the kernel of the machine, whichever it is"},
		{in: "20-sysctl", match: `(tcp_rmem: 4096 131072) \d+`, with: "$1 ", reason: "the default of the kernel depends on the memory of the machine"},
		{in: "30-swap", match: `^  turn off swap\n    /dev/\S+\n|^change swap@\S+ turn off swap\n    /dev/\S+\n`, with: "", reason: "hosts of the lab cannot have swap in use"},
		{in: "30-swap", match: `[12] changes`, with: "changes", reason: "so there is one change less"},
	}
}

// debianExcuses are those of Debian.
func debianExcuses() []*excuse {
	return append(commonExcuses(), []*excuse{
		{in: "37-systemd-fails", match: `^(  hint: on the host, .journalctl .*\n)(?:    .*\n)+`, with: "$1",
			reason: "the simulator has no journal, and a short status of units"},
		{in: "-package", match: `\b(?:\d+:)?\d+(?:\.\d+)+(?:[~+]\w+)?-\d[\w.+]*`, with: "VERSION",
			reason: "the lab has the packages of Debian's mirror on the day it was built, the simulator's catalogue has versions of its own"},
		{match: `^(    \+\+\+ /etc/(?:chrony/chrony.conf|haproxy/haproxy.cfg|containerd/config.toml)\n)(?:    .*\n)+`, with: "$1",
			reason: "the configuration that Debian's packages bring is long, the simulator's is a line or two; what is then on the host is compared"},
		{in: "87-kubernetes-init", match: `"sha256":"[0-9a-f]{64}"`, with: "",
			reason: "the simulated host gets archives of images without their layers, to save memory"},
		{in: "91-package-docker", match: `("path":"","sha256":")[0-9a-f]{64}"`, with: "$1",
			reason: "the simulated host gets an archive of cri-dockerd without the program, to save memory"},
		{in: "93-docker-fails", match: `^(  hint: on the host, .journalctl .*\n)(?:    .*\n)+`, with: "$1",
			reason: "the simulator has no journal, and a short status of units"},
		{in: "88-kubernetes-again", match: `^(    ConfigMap fidelity/settings\n)(?:    .*\n)+`, with: "$1",
			reason: "kubectl diff shows all that a server adds to an object, the simulated one that there is a difference"},
		{match: `(\S+)\.20\d{6}-\d{6}~`, with: "$1.TIME~", reason: "the simulation has another date"},
	}...)
}

type excuses struct{ all []*excuse }

func newExcuses(list []*excuse) *excuses {
	x := &excuses{all: list}
	for _, e := range x.all {
		e.re = regexp.MustCompile("(?m)" + e.match)
	}
	return x
}

func (e *excuse) of(name string) bool { return strings.Contains(name, e.in) }

// apply makes alike what is excused.
func (x *excuses) apply(name string, lines []string) []string { return x.without(nil, name, lines) }

func (x *excuses) without(left *excuse, name string, lines []string) []string {
	text := strings.Join(lines, "\n")
	for _, e := range x.all {
		if e != left && e.of(name) {
			text = e.re.ReplaceAllString(text, e.with)
		}
	}
	return strings.Split(text, "\n")
}

// needed notes which excuses hide a difference here.
func (x *excuses) needed(name string, onLab, inSim []string) {
	for _, e := range x.all {
		if e.of(name) && !e.used {
			e.used = !slices.Equal(x.without(e, name, onLab), x.without(e, name, inSim))
		}
	}
}

// check fails for excuses that nothing needs.
func (x *excuses) check(t *testing.T) {
	t.Helper()
	for _, e := range x.all {
		if !e.used {
			t.Errorf("this excuse hides no difference any more, remove it: %q in %q (%s)", e.match, e.in, e.reason)
		}
		if e.reason == "" {
			t.Errorf("the excuse %q has no reason", e.match)
		}
	}
}
