package kubeadm

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// Couplings implements task.Coupler.
func (k *Kubeadm) Couplings() []task.Coupling {
	return []task.Coupling{
		{Rule: "kubeadm-api", Fact: "each kubeadm reads only some versions of its configuration", Source: "kubernetes#69055, #107013, #125029, kubeadm#2459", Find: findAPI},
		{Rule: "kubeadm-version", Fact: "kubeadm sets up its own minor version and the one before", Source: "kubeadm: version skew policy", Find: findPackage},
		{Rule: "kubelet-version", Fact: "a kubelet is never newer than its API server", Source: "Kubernetes: version skew policy; kubernetes#120825", Find: findKubelet},
		{Rule: "ipvs-deprecated", Fact: "kube-proxy's mode ipvs is deprecated since 1.35, and goes", Source: "enhancements#6120, kubernetes#139067", Warning: true, Find: findIPVS},
		{Rule: "known-bad-version", Fact: "kubeadm from 1.34.2 on fails at upload-config when the endpoint is a load balancer", Source: "kubeadm#3294", Warning: true, Find: findKnownBad},
		{Rule: "cri-socket", Fact: "all kubeadm commands of a host must name the same socket", Source: "cri-dockerd#427", Find: findSockets},
		{Rule: "docker-runtime", Fact: "Kubernetes from 1.24 on reaches Docker only through cri-dockerd, and must be told its socket", Source: "cri-dockerd#427, minikube#14555", Find: findDocker},
		{Rule: "cgroup-driver", Fact: "container runtime and kubelet must use the same cgroup driver; from 1.22 on kubeadm sets up kubelets for systemd", Source: "Kubernetes: container runtimes; kubeadm#2605, #2066", Find: findCgroups},
		{Rule: "pause-image", Fact: "the runtime's sandbox image should be the one kubeadm pulls: another one is pulled from elsewhere, or is missing offline", Source: "kubeadm#2801; table: minikube constants_kubeadm_images.go, kubernetes#125112", Warning: true, Find: findPause},
		{Rule: "api-port", Fact: "a load balancer on a control plane cannot listen on the API server's port", Source: "kubeadm#2472, community#7524", Find: findPort},
		{Rule: "address-ranges", Fact: "pods, services and machines must not share addresses", Source: "Kubernetes: cluster networking; kubeadm init", Find: findRanges},
		{Rule: "control-planes-even", Fact: "etcd on an even number of control planes survives no more failures than on one less", Source: "etcd FAQ; kubeadm: HA topology", Warning: true, Find: findEven},
		{Rule: "control-plane-endpoint", Fact: "a cluster made without controlPlaneEndpoint cannot have a second control plane", Source: "Kubernetes: create-cluster-kubeadm", Find: findEndpoint},
		{Rule: "control-plane-joins", Fact: "etcd takes one new member at a time", Source: "kubeadm#1646, #2005, enhancements#3615", Warning: true, Find: findJoins},
		{Rule: "frozen-registry", Fact: "k8s.gcr.io is frozen since April 2023 and has no images of Kubernetes 1.27 and later", Source: "kubernetes.io/blog: k8s.gcr.io freeze, 2023-04-03", Find: findFrozen},
	}
}

// apis are the minor versions whose kubeadm reads each version of the configuration.
func apis() map[string][2]int {
	return map[string][2]int{
		"v1alpha2": {11, 12}, "v1alpha3": {12, 14}, "v1beta1": {13, 21}, "v1beta2": {15, 26}, "v1beta3": {22, 36}, "v1beta4": {31, 1000},
	}
}

func findAPI(s task.Scene) (out []task.Finding) {
	d, known := kube.VersionIn(s)
	if !known {
		return nil
	}
	api := regexp.MustCompile(`(?m)^[ \t]*"?apiVersion"?:[ \t]*["']?kubeadm\.k8s\.io/(\w+)`)
	for _, f := range kube.FilesIn(s) {
		for _, m := range api.FindAllStringSubmatch(f.Text, -1) {
			span, ok := apis()[m[1]]
			if !ok || d.Minor >= span[0] && d.Minor <= span[1] {
				continue
			}
			want, _ := configAPI(d.Version)
			out = append(out, task.Finding{Task: f.Task, Param: f.Param, With: d.Task, Hint: "write " + want,
				Says: fmt.Sprintf("%s has kubeadm's configuration as %s, which kubeadm %s does not read", f.Path, m[1], d.Version)})
			break
		}
	}
	return out
}

func findPackage(s task.Scene) (out []task.Finding) {
	p, installed := kube.PackageIn(s, "kubeadm")
	if !installed {
		return nil
	}
	for _, n := range s.Here("kubeadm") {
		for _, arm := range []string{"init", "join"} {
			v, err := kube.ParseVersion(n.Text(arm, "version"))
			if err != nil || v.Minor == p.Minor || v.Minor == p.Minor-1 {
				continue
			}
			out = append(out, task.Finding{Task: n.ID, Param: []any{arm, "version"}, With: p.Task, Hint: "install kubeadm of that minor version",
				Says: fmt.Sprintf("kubeadm %s is installed here and cannot set up Kubernetes %s", p.Version, v)})
		}
	}
	return out
}

// findKubelet finds kubelets that are newer than the control plane they are to belong to.
func findKubelet(s task.Scene) (out []task.Finding) {
	p, installed := kube.PackageIn(s, "kubelet")
	if !installed {
		return nil
	}
	for _, n := range s.Here("kubeadm") {
		for _, arm := range []string{"init", "join"} {
			v, err := kube.ParseVersion(n.Text(arm, "version"))
			if err == nil && p.Minor > v.Minor {
				out = append(out, task.Finding{Task: n.ID, Param: []any{arm, "version"}, With: p.Task, Hint: fmt.Sprintf("install kubelet 1.%d here, or upgrade the control plane first", v.Minor),
					Says: fmt.Sprintf("kubelet %s is installed here, newer than the control plane of %s", p.Version, v)})
			}
		}
	}
	return out
}

func findIPVS(s task.Scene) (out []task.Finding) {
	const deprecated = 35
	for _, n := range s.Here("kubeadm") {
		v, err := kube.ParseVersion(n.Text("init", "version"))
		if err == nil && v.AtLeast(deprecated) && n.Text("init", "kube_proxy", "mode") == "ipvs" {
			out = append(out, task.Finding{Task: n.ID, Param: []any{"init", "kube_proxy", "mode"}, Says: fmt.Sprintf("kube-proxy of Kubernetes %s shall run in the mode ipvs", v), Hint: "take nftables (GA since 1.33), or leave the mode out"})
		}
	}
	return out
}

func findKnownBad(s task.Scene) (out []task.Finding) {
	for _, n := range s.Here("kubeadm") {
		v, err := kube.ParseVersion(n.Text("init", "version"))
		if err != nil || v.Minor < 34 || v.Minor == 34 && v.Patch < 2 {
			continue
		}
		host, _, _ := net.SplitHostPort(n.Text("init", "control_plane_endpoint"))
		if host != "" && host != n.Text("init", "advertise_address") {
			out = append(out, task.Finding{Task: n.ID, Param: []any{"init", "version"}, Says: fmt.Sprintf("kubeadm %s may not get through init behind a load balancer", v), Hint: "take a version before 1.34.2, or read the issue first"})
		}
	}
	return out
}

// arms are the arms that speak to a container runtime.
func arms() []string { return []string{"init", "join", "images", "token", "reset"} }

func findSockets(s task.Scene) (out []task.Finding) {
	var first task.Neighbour
	var socket string
	for _, n := range s.Here("kubeadm") {
		for _, arm := range arms() {
			have := n.Text(arm, "cri_socket")
			switch {
			case have == "":
			case socket == "":
				first, socket = n, have
			case !sameSocket(have, socket):
				out = append(out, task.Finding{Task: n.ID, Param: []any{arm, "cri_socket"}, With: first.ID, Says: fmt.Sprintf("this says the container runtime is at %s, `%s` says %s", have, first.ID, socket)})
			}
		}
	}
	return out
}

// sameSocket compares sockets as people write them: /var/run is /run.
func sameSocket(a, b string) bool {
	plain := func(s string) string {
		return strings.TrimPrefix(strings.TrimPrefix(s, "unix://"), "/var")
	}
	return plain(a) == plain(b)
}

func findDocker(s task.Scene) (out []task.Finding) {
	d, known := kube.VersionIn(s)
	docker := dockerTask(s)
	if !known || !d.AtLeast(24) || docker == "" {
		return nil
	}
	for _, n := range s.Here("kubeadm") {
		for _, arm := range []string{"init", "join"} {
			if _, is := n.Get(arm).(map[string]any); !is {
				continue
			}
			if socket := n.Text(arm, "cri_socket"); strings.Contains(socket, "dockershim") || strings.Contains(socket, "docker.sock") {
				out = append(out, task.Finding{Task: n.ID, Param: []any{arm, "cri_socket"}, With: docker,
					Hint: "unix:///var/run/cri-dockerd.sock, with cri-dockerd installed", Says: fmt.Sprintf("%s is no socket that Kubernetes %s can use", socket, d.Version)})
			}
		}
	}
	return out
}

// dockerTask is the task that runs Docker on the host.
func dockerTask(s task.Scene) string {
	for _, n := range s {
		switch {
		case !n.Here:
		case n.Kind == "systemd" && strings.TrimSuffix(n.Text("unit"), ".service") == "docker" && n.Text("state") != "stopped":
			return n.ID
		case n.Kind == "package" && n.Text("state") != "absent":
			for _, e := range kube.List(n.Get("names")) {
				if m, _ := e.(map[string]any); m["name"] == "docker-ce" || m["name"] == "docker.io" || m["name"] == "docker" {
					return n.ID
				}
			}
		}
	}
	return ""
}

func findPort(s task.Scene) (out []task.Finding) {
	bind := regexp.MustCompile(`(?m)^[ \t]*bind[ \t]+\S*?:(\d+)`)
	for _, f := range kube.FilesIn(s) {
		if !strings.Contains(f.Path, "haproxy") {
			continue
		}
		for _, m := range bind.FindAllStringSubmatch(f.Text, -1) {
			for _, n := range controlPlanes(s.Here("kubeadm")) {
				if port := apiPort(n); m[1] == strconv.Itoa(port) {
					out = append(out, task.Finding{Task: f.Task, Param: f.Param, With: n.ID, Hint: "let it listen on another port, for example 8443",
						Says: fmt.Sprintf("haproxy listens on port %d of machines where the API server does", port)})
				}
			}
		}
	}
	return out
}

// controlPlanes are the tasks that make a control plane.
func controlPlanes(all []task.Neighbour) []task.Neighbour {
	return slices.DeleteFunc(slices.Clone(all), func(n task.Neighbour) bool {
		_, init := n.Get("init").(map[string]any)
		return n.Kind != "kubeadm" || !init && n.Text("join", "role") != "control_plane"
	})
}

func apiPort(n task.Neighbour) int {
	for _, arm := range []string{"init", "join"} {
		if port, err := strconv.Atoi(fmt.Sprint(n.Get(arm, "bind_port"))); err == nil {
			return port
		}
	}
	return 6443
}

func findRanges(s task.Scene) (out []task.Finding) {
	for _, n := range s.Here("kubeadm") {
		services, pods := kube.Texts(n.Get("init", "service_subnet")), kube.Texts(n.Get("init", "pod_subnet"))
		if a, b, bad := overlap(services, pods); bad {
			out = append(out, task.Finding{Task: n.ID, Param: []any{"init", "pod_subnet"}, Says: fmt.Sprintf("pods (%s) and services (%s) share addresses", b, a), Hint: "choose ranges that share no address"})
		}
		for _, of := range addresses(s, n) {
			for _, r := range slices.Concat(services, pods) {
				if p, err := netip.ParsePrefix(r); err == nil && p.Contains(of.addr) {
					out = append(out, task.Finding{Task: n.ID, Param: []any{"init"}, With: of.task, Says: fmt.Sprintf("%s lies in %s, which is for pods or services", of.addr, r), Hint: "choose ranges that hold no machine"})
				}
			}
		}
	}
	return out
}

type address struct {
	addr netip.Addr
	task string
}

// addresses are those of machines that tasks name.
func addresses(s task.Scene, init task.Neighbour) (out []address) {
	add := func(text, id string) {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, address{a, id})
		}
	}
	if host, _, err := net.SplitHostPort(init.Text("init", "control_plane_endpoint")); err == nil {
		add(host, init.ID)
	}
	for _, n := range s {
		if n.Kind == "kubeadm" {
			add(n.Text("init", "advertise_address"), n.ID)
			add(n.Text("join", "advertise_address"), n.ID)
		}
	}
	return out
}

func findEven(s task.Scene) []task.Finding {
	var init string
	number := 0
	for _, n := range controlPlanes(s) {
		if n.Get("init", "etcd", "external") != nil {
			return nil
		}
		if n.Get("init") != nil {
			init = n.ID
		}
		number += n.Hosts
	}
	if init == "" || number%2 == 1 {
		return nil
	}
	return []task.Finding{{Task: init, Says: fmt.Sprintf("%d control planes have etcd on them", number), Hint: "take one more, or one less"}}
}

func findEndpoint(s task.Scene) []task.Finding {
	var init, join task.Neighbour
	for _, n := range controlPlanes(s) {
		if n.Get("init") != nil {
			init = n
		} else {
			join = n
		}
	}
	_, later := init.Get("init", "cluster_configuration", "controlPlaneEndpoint").(string)
	if init.ID == "" || join.ID == "" || later || init.Get("init", "control_plane_endpoint") != nil {
		return nil
	}
	return []task.Finding{{Task: init.ID, Param: []any{"init"}, With: join.ID, Says: "the cluster has no control_plane_endpoint, and control planes are to join it", Hint: "add the load balancer's address, host:port; it can't be added later"}}
}

func findJoins(s task.Scene) (out []task.Finding) {
	for _, n := range controlPlanes(s) {
		if n.Get("init") == nil && n.Hosts > 1 && !n.InTurn {
			out = append(out, task.Finding{Task: n.ID, Says: fmt.Sprintf("%d control planes join at once", n.Hosts), Hint: "add `lock: etcd_join`"})
		}
	}
	return out
}

func findFrozen(s task.Scene) (out []task.Finding) {
	d, known := kube.VersionIn(s)
	if !known || !d.AtLeast(27) {
		return nil
	}
	for _, n := range s.Here("kubeadm") {
		for _, arm := range []string{"init", "images"} {
			if strings.HasPrefix(n.Text(arm, "image_repository"), "k8s.gcr.io") {
				out = append(out, task.Finding{Task: n.ID, Param: []any{arm, "image_repository"}, Says: fmt.Sprintf("k8s.gcr.io has no images of Kubernetes %s", d.Version), Hint: "registry.k8s.io, or a mirror of it"})
			}
		}
	}
	return out
}
