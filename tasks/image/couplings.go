package image

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// Couplings implements task.Coupler.
func (p *Image) Couplings() []task.Coupling {
	return []task.Coupling{
		{Rule: "containerd-config", Fact: "containerd 2 has other names for the plugins of its configuration (version 3) than containerd 1 (version 2), and ignores those of the other", Source: "kubernetes/website#51386, lima#4185", Find: findSchema},
		{Rule: "cri-plugin", Fact: "the configuration that the package containerd.io brings switches the CRI plugin off", Source: "Kubernetes: container runtimes", Find: findDisabled},
	}
}

// schema of a configuration: the plugins' names and the number in front.
func findSchema(s task.Scene) (out []task.Finding) {
	major, from := containerd(s)
	for _, f := range kube.FilesIn(s) {
		if !strings.Contains(f.Path, "containerd") {
			continue
		}
		names, param := plugins(f)
		if names == 0 {
			continue
		}
		if number, _, ok := f.Setting("version"); ok && f.Text != "" && (number == "3") != (names == 2) && (number == "2" || number == "3") {
			out = append(out, task.Finding{Task: f.Task, Param: f.Param, Says: fmt.Sprintf("the file says version = %s and has names of plugins of containerd %d", number, names), Hint: hint(names)})
		}
		if major != 0 && min(major, 2) != names {
			out = append(out, task.Finding{Task: f.Task, Param: param, With: from, Says: fmt.Sprintf("containerd %d does not know the names of plugins in %s", major, f.Path), Hint: hint(3 - names)})
		}
	}
	return out
}

func hint(major int) string {
	if major == 2 {
		return `write plugins."io.containerd.cri.v1.images" and plugins."io.containerd.cri.v1.runtime"`
	}
	return `write plugins."io.containerd.grpc.v1.cri"`
}

// plugins tells for which containerd the names of plugins in a file are; 0 where there are none.
func plugins(f kube.File) (int, []any) {
	of := func(text string) int {
		switch {
		case strings.Contains(text, "io.containerd.grpc.v1.cri"):
			return 1
		case strings.Contains(text, "io.containerd.cri.v1."):
			return 2
		}
		return 0
	}
	keys := make([]string, 0, len(f.Set))
	for key := range f.Set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if n := of(key); n != 0 {
			return n, []any{"set", key}
		}
	}
	return of(f.Text), f.Param
}

// containerd is the major version of containerd that tasks of the host install, and the task.
func containerd(s task.Scene) (int, string) {
	name := regexp.MustCompile(`/containerd-(\d+)\.\d+\.\d+`)
	for _, n := range s.Here("download") {
		if m := name.FindStringSubmatch(n.Text("url")); m != nil {
			major, _ := strconv.Atoi(m[1])
			return major, n.ID
		}
	}
	for _, pkg := range []string{"containerd.io", "containerd"} {
		if d, ok := kube.PackageIn(s, pkg); ok {
			return d.Major, d.Task
		}
	}
	return 0, ""
}

func findDisabled(s task.Scene) (out []task.Finding) {
	for _, f := range kube.FilesIn(s) {
		if strings.HasSuffix(f.Path, "containerd/config.toml") && regexp.MustCompile(`(?m)^\s*disabled_plugins\s*=\s*\[[^\]]*"cri"`).MatchString(f.Text) {
			out = append(out, task.Finding{Task: f.Task, Param: f.Param, Says: f.Path + " switches the CRI plugin off, which the kubelet needs", Hint: "take cri out of disabled_plugins"})
		}
	}
	return out
}
