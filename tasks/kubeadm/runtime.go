package kubeadm

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// pauseTags are the tags of the pause image, each from its minor version on.
func pauseTags() []struct {
	from int
	tag  string
} {
	return []struct {
		from int
		tag  string
	}{{13, "3.1"}, {18, "3.2"}, {21, "3.4.1"}, {22, "3.5"}, {23, "3.6"}, {24, "3.7"}, {25, "3.8"}, {26, "3.9"}, {31, "3.10"}, {34, "3.10.1"}, {36, "3.10.2"}}
}

// pauseTag is the tag that kubeadm of a version pulls; "" where that is not known.
func pauseTag(v kube.Version) string {
	tag := ""
	for _, p := range pauseTags() {
		if v.Minor >= p.from {
			tag = p.tag
		}
	}
	return tag
}

// findPause compares the sandbox image of containerd, Docker's cri-dockerd and cri-o with kubeadm's.
func findPause(s task.Scene) (out []task.Finding) {
	d, known := kube.VersionIn(s)
	want := pauseTag(d.Version)
	if !known || want == "" {
		return nil
	}
	for _, f := range kube.FilesIn(s) {
		image, param := sandbox(f)
		i := strings.LastIndex(image, ":")
		if i < 0 || !strings.Contains(image, "pause") || image[i+1:] == want {
			continue
		}
		out = append(out, task.Finding{Task: f.Task, Param: param, With: d.Task, Hint: "take " + image[:i+1] + want,
			Says: fmt.Sprintf("the sandbox image is %s, kubeadm %s pulls pause:%s", image, d.Version, want)})
	}
	return out
}

// sandbox is the sandbox image that a file sets.
func sandbox(f kube.File) (string, []any) {
	for _, name := range []string{"sandbox_image", "pinned_images.sandbox", "pause_image"} {
		if image, param, ok := f.Setting(name); ok {
			return image, param
		}
	}
	if m := regexp.MustCompile(`--pod-infra-container-image=(\S+)`).FindStringSubmatch(f.Text); m != nil {
		return strings.Trim(m[1], `"'`), f.Param
	}
	if !strings.Contains(f.Path, "containerd") {
		return "", nil
	}
	image, param, _ := f.Setting("sandbox")
	return image, param
}

// findCgroups compares the cgroup driver of the runtime with the kubelet's.
func findCgroups(s task.Scene) (out []task.Finding) {
	kubelet, from := kubeletDriver(s)
	if kubelet == "" {
		return nil
	}
	for _, f := range kube.FilesIn(s) {
		driver, param := runtimeDriver(f, s)
		if driver == "" || driver == kubelet {
			continue
		}
		out = append(out, task.Finding{Task: f.Task, Param: param, With: from, Hint: "set both to systemd",
			Says: fmt.Sprintf("the container runtime uses the cgroup driver %s, the kubelet %s", driver, kubelet)})
	}
	return out
}

// kubeletDriver is the driver of kubelets, and the task that says so.
func kubeletDriver(s task.Scene) (driver, id string) {
	d, known := kube.VersionIn(s)
	for _, n := range s {
		for _, arm := range []string{"init", "join"} {
			if driver := n.Text(arm, "kubelet", "cgroupDriver"); n.Kind == "kubeadm" && driver != "" {
				return driver, n.ID
			}
			if driver := n.Text(arm, "kubelet_extra_args", "cgroup-driver"); n.Kind == "kubeadm" && n.Here && driver != "" {
				return driver, n.ID
			}
		}
	}
	switch {
	case !known || !asKubeadm(s, d.Task):
		return "", ""
	case d.AtLeast(22):
		return "systemd", d.Task
	case dockerTask(s) == "":
		return "cgroupfs", d.Task // kubelet's own; kubeadm takes over Docker's alone
	}
	return "", ""
}

// asKubeadm tells whether a task is one of kubeadm: what a package alone sets up is not known.
func asKubeadm(s task.Scene, id string) bool {
	for _, n := range s {
		if n.ID == id {
			return n.Kind == "kubeadm"
		}
	}
	return false
}

// runtimeDriver is the driver that a file sets for containerd or Docker.
func runtimeDriver(f kube.File, s task.Scene) (string, []any) {
	if value, param, ok := f.Setting("SystemdCgroup"); ok {
		if value == "true" {
			return "systemd", param
		}
		return "cgroupfs", param
	}
	if strings.HasSuffix(f.Path, "docker/daemon.json") {
		all := f.Text + fmt.Sprint(f.Set)
		if m := regexp.MustCompile(`native\.cgroupdriver=(\w+)`).FindStringSubmatch(all); m != nil {
			return m[1], f.Param
		}
	}
	d, _ := kube.VersionIn(s)
	if strings.HasSuffix(f.Path, "containerd/config.toml") && strings.Contains(strings.Join(f.From, " "), "config default") && d.Minor < 31 {
		return "cgroupfs", nil // containerd's default
	}
	return "", nil
}
