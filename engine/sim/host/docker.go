package host

import (
	"encoding/json"
	"strings"
	"time"
)

// refuses says why a daemon ends at once with the configuration it finds; "" = it runs.
func (h *Host) refuses(name string) string {
	switch name {
	case "docker.service":
		text := h.Text("/etc/docker/daemon.json")
		var v map[string]any
		if err := json.Unmarshal([]byte(text), &v); text != "" && err != nil {
			return "unable to configure the Docker daemon with file /etc/docker/daemon.json: " + err.Error()
		}
	case "cri-docker.service":
		if on, _ := h.Active("docker"); !on {
			return "failed to get docker version from dockerd: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
		}
	}
	return ""
}

// dockerConfig is what dockerd is told in its file.
func (h *Host) dockerConfig() (v struct {
	Options []string `json:"exec-opts"`
}) {
	_ = json.Unmarshal([]byte(h.StartedWith("docker")), &v) // dockerd would not run
	return v
}

// DockerCgroups is the cgroup driver of Docker: systemd where it is told so, or where it is the default (20.10 on control
// groups of version 2).
func (h *Host) DockerCgroups() string {
	for _, o := range h.dockerConfig().Options {
		if driver, ok := strings.CutPrefix(o, "native.cgroupdriver="); ok {
			return driver
		}
	}
	if h.o.Image.cgroup == 2 && compareVersions(h.version("docker", "26.1.4"), "20.10") >= 0 {
		return "systemd"
	}
	return "cgroupfs"
}

// dockerTool is the client of Docker.
func dockerTool(p *Proc) int {
	flags, words := p.Flags("--format", "-f", "--input", "-i")
	if len(words) == 1 && words[0] == "version" || p.Args[0] == "--version" {
		p.Printf("Docker version %s, build simulated\n", p.Host.version("docker", "26.1.4"))
		return 0
	}
	if on, _ := p.Host.Active("docker"); !on {
		return p.Fail("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
	}
	if len(words) == 1 && words[0] == "info" {
		if f := flags["--format"] + flags["-f"]; f != "" && !strings.Contains(f, ".CgroupDriver") {
			return p.Unknown()
		}
		p.Printf("%s\n", p.Host.DockerCgroups())
		return 0
	}
	if len(words) > 0 && words[0] == "image" {
		words = words[1:]
	}
	return p.dockerImages(flags, words)
}

// dockerImages is what the client does with images.
func (p *Proc) dockerImages(flags map[string]string, words []string) int {
	switch {
	case len(words) == 1 && (words[0] == "ls" || words[0] == "images"):
		for _, name := range p.Host.Images(Docker) {
			p.Printf("%s\n", name)
		}
	case len(words) == 1 && words[0] == "load":
		p.Take(2 * time.Second)
		return p.importImages(Docker, flags["--input"]+flags["-i"])
	case len(words) == 2 && words[0] == "pull":
		p.Pull(Docker, words[1])
	case len(words) == 2 && (words[0] == "rm" || words[0] == "rmi"):
		p.Host.dropImage(Docker, words[1])
	default:
		return p.Unknown()
	}
	return 0
}
