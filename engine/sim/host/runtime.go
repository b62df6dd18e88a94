package host

import (
	"archive/tar"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// containerd prints its default configuration.
func containerd(p *Proc) int {
	args := strings.Join(p.Args, " ")
	switch args {
	case "config default":
		if strings.HasPrefix(p.Host.version("containerd", "1"), "2") {
			p.Printf("%s", configTwo)
		} else {
			p.Printf("%s", configOne)
		}
		return 0
	case "--version":
		p.Printf("containerd github.com/containerd/containerd v%s\n", p.Host.version("containerd", "1.6.33"))
		return 0
	}
	return p.Unknown()
}

// version is what a simulated program says it is: its file ends in a line `version X`.
func (h *Host) version(program, otherwise string) string {
	_, v, ok := strings.Cut(h.Text(h.Which(program)), "version ")
	if !ok {
		return otherwise
	}
	return strings.TrimSpace(v)
}

const configOne = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = []

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins]

  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.k8s.io/pause:3.6"

    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/opt/cni/bin"
      conf_dir = "/etc/cni/net.d"

    [plugins."io.containerd.grpc.v1.cri".containerd]
      snapshotter = "overlayfs"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]

        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
          runtime_type = "io.containerd.runc.v2"

          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
            BinaryName = ""
            SystemdCgroup = false

    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = ""
`

const configTwo = `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins]
  [plugins."io.containerd.cri.v1.images"]
    snapshotter = "overlayfs"

    [plugins."io.containerd.cri.v1.images".pinned_images]
      sandbox = "registry.k8s.io/pause:3.10"

    [plugins."io.containerd.cri.v1.images".registry]
      config_path = ""

  [plugins."io.containerd.cri.v1.runtime"]

    [plugins."io.containerd.cri.v1.runtime".containerd]

      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes]

        [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
          runtime_type = "io.containerd.runc.v2"

          [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
            SystemdCgroup = false
`

// Runtime is a container runtime; each has images of its own.
type Runtime string

// The runtimes that the simulator tells apart.
const (
	Containerd Runtime = "containerd"
	Docker     Runtime = "docker"
)

// RuntimeAt is the runtime behind a socket.
func RuntimeAt(socket string) Runtime {
	if strings.Contains(socket, "docker") {
		return Docker
	}
	return Containerd
}

// Images are the images in the store of a container runtime, sorted.
func (h *Host) Images(r Runtime) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.images[r]))
}

// Pull gets an image, if it is not there.
func (p *Proc) Pull(r Runtime, name string) {
	h := p.Host
	h.mu.Lock()
	there := h.images[r][name]
	h.mu.Unlock()
	if there {
		return
	}
	p.Take(pullTime(name))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addImage(r, name)
}

// addImage wants the lock held.
func (h *Host) addImage(r Runtime, name string) {
	if h.images[r] == nil {
		h.images[r] = map[string]bool{}
	}
	h.images[r][h.share(name)] = true
}

func (h *Host) dropImage(r Runtime, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.images[r], name)
}

func pullTime(name string) time.Duration {
	for part, t := range map[string]time.Duration{"pause": 400 * time.Millisecond, "etcd": 9 * time.Second, "apiserver": 6 * time.Second,
		"controller-manager": 6 * time.Second, "scheduler": 4 * time.Second, "proxy": 5 * time.Second, "coredns": 3 * time.Second, "calico": 12 * time.Second} {
		if strings.Contains(name, part) {
			return t
		}
	}
	return 5 * time.Second
}

// down tells that no container runtime answers.
func down(p *Proc) bool {
	for _, unit := range []string{"containerd", "docker", "crio"} {
		if on, _ := p.Host.Active(unit); on {
			return false
		}
	}
	return true
}

func ctr(p *Proc) int {
	_, words := p.Flags("--address", "--namespace", "-n", "-a", "--hosts-dir")
	if down(p) {
		return p.Fail(`ctr: failed to dial "/run/containerd/containerd.sock": connection refused`)
	}
	if len(words) < 2 || words[0] != "images" && words[0] != "image" {
		return p.Unknown()
	}
	switch words[1] {
	case "ls", "list":
		for _, name := range p.Host.Images(Containerd) {
			p.Printf("%s\n", name)
		}
		return 0
	case "pull":
		p.Pull(Containerd, words[len(words)-1])
		return 0
	case "rm":
		p.Host.dropImage(Containerd, words[len(words)-1])
		return 0
	case "import":
		p.Take(2 * time.Second)
		return p.importImages(Containerd, words[len(words)-1])
	}
	return p.Unknown()
}

// importImages takes the images of a docker archive, under the names it has for them.
func (p *Proc) importImages(to Runtime, file string) int {
	text, err := p.Host.read(file)
	if err != nil {
		return p.Fail("%s: open %s: no such file or directory", p.Name, file)
	}
	var manifest []struct{ RepoTags []string }
	r := tar.NewReader(strings.NewReader(text))
	for h, err := r.Next(); err == nil; h, err = r.Next() {
		if h.Name != "manifest.json" {
			continue
		}
		if err := json.NewDecoder(r).Decode(&manifest); err != nil {
			return p.Fail("%s: %v", p.Name, err)
		}
	}
	if len(manifest) == 0 {
		return p.Fail("%s: unrecognized image format (what an archive holds that the simulator has made up, nobody can know)", p.Name)
	}
	p.Host.mu.Lock()
	defer p.Host.mu.Unlock()
	for _, m := range manifest {
		for _, name := range m.RepoTags {
			p.Host.addImage(to, name)
			p.Printf("unpacking %s...done\n", name)
		}
	}
	return 0
}

func crictl(p *Proc) int {
	flags, words := p.Flags("--runtime-endpoint", "--image-endpoint", "-r", "-i")
	r := RuntimeAt(flags["-r"] + flags["--runtime-endpoint"])
	if down(p) {
		return p.Fail(`validate service connection: dial unix /run/containerd/containerd.sock: connect: connection refused`)
	}
	switch {
	case len(words) == 2 && words[0] == "pull":
		p.Pull(r, words[1])
		p.Printf("Image is up to date for %s\n", words[1])
		return 0
	case len(words) > 0 && words[0] == "images":
		p.Printf("IMAGE TAG IMAGE-ID SIZE\n")
		for _, name := range p.Host.Images(r) {
			repository, tag, _ := strings.Cut(name, ":")
			p.Printf("%s %s 0000000000000 1MB\n", repository, tag)
		}
		return 0
	case len(words) > 0 && (words[0] == "ps" || words[0] == "pods" || words[0] == "info" || words[0] == "version"):
		return 0
	}
	return p.Unknown()
}
