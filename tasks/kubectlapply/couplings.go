package kubectlapply

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// Couplings implements task.Coupler.
func (p *Apply) Couplings() []task.Coupling {
	return []task.Coupling{
		{Rule: "cni-version", Fact: "each version of Calico is made for some versions of Kubernetes", Source: "KubeKey's table; projectcalico discussion 11717", Warning: true, Find: findCalico},
		{Rule: "floating-manifest", Fact: "a manifest at an address such as master or latest changes without notice", Source: "flannel#1429, #1044, kubeadm#1799", Warning: true, Find: findFloating},
		{Rule: "pod-subnet", Fact: "the network add-on must use the addresses that kubeadm gives to pods", Source: "Kubernetes: create-cluster-kubeadm; Calico: CALICO_IPV4POOL_CIDR", Find: findPool},
	}
}

// manifest is where a manifest that is applied comes from.
type manifest struct {
	url, task string
	param     []any
}

// manifests are those that tasks of the host download and apply.
func manifests(s task.Scene) (out []manifest) {
	applied := map[string]bool{}
	for _, n := range s.Here("kubectl-apply") {
		if path := n.Text("path"); path != "" {
			applied[path] = true
		}
	}
	for _, n := range s.Here("download") {
		if applied[n.Text("path")] {
			out = append(out, manifest{n.Text("url"), n.ID, []any{"url"}})
		}
	}
	return out
}

// calico are, by minor version of Calico 3, the first and the last minor version of Kubernetes it is made for.
func calico() map[int][2]int {
	return map[int][2]int{27: {0, 29}, 28: {0, 30}, 29: {0, 32}, 30: {0, 33}, 31: {0, 35}, 32: {34, 37}}
}

func findCalico(s task.Scene) (out []task.Finding) {
	d, known := kube.VersionIn(s)
	if !known {
		return nil
	}
	version := regexp.MustCompile(`calico/v3\.(\d+)\.\d+/`)
	for _, m := range manifests(s) {
		v := version.FindStringSubmatch(m.url)
		if v == nil {
			continue
		}
		minor, _ := strconv.Atoi(v[1])
		span, listed := calico()[minor]
		if !listed || d.Minor >= span[0] && d.Minor <= span[1] {
			continue
		}
		out = append(out, task.Finding{Task: m.task, Param: m.param, With: d.Task, Says: fmt.Sprintf("Calico 3.%d is not made for Kubernetes %s", minor, d.Version), Hint: "take " + fitting(d.Minor)})
	}
	return out
}

// fitting names the versions of Calico for a minor version of Kubernetes.
func fitting(minor int) string {
	var fit []int
	for c, span := range calico() {
		if minor >= span[0] && minor <= span[1] {
			fit = append(fit, c)
		}
	}
	if len(fit) == 0 {
		return "a version that lists it"
	}
	return fmt.Sprintf("3.%d or one that lists it", slices.Min(fit))
}

func findFloating(s task.Scene) (out []task.Finding) {
	floating := regexp.MustCompile(`/(master|main|latest|HEAD)/`)
	for _, m := range manifests(s) {
		if word := floating.FindStringSubmatch(m.url); word != nil {
			out = append(out, task.Finding{Task: m.task, Param: m.param, Says: fmt.Sprintf("the manifest is taken from `%s`", word[1]), Hint: "name a version, or keep the manifest beside the playbook"})
		}
	}
	return out
}

func findPool(s task.Scene) (out []task.Finding) {
	subnets, init := podSubnets(s)
	if len(subnets) == 0 {
		return nil
	}
	for _, n := range s.Here("kubectl-apply") {
		for _, pool := range pools(n) {
			if !slices.Contains(subnets, pool.cidr) && !within(pool.cidr, subnets) {
				out = append(out, task.Finding{Task: n.ID, Param: pool.param, With: init, Says: fmt.Sprintf("the network add-on takes pods' addresses from %s, kubeadm from %s", pool.cidr, subnets[0]), Hint: "use one range in both"})
			}
		}
	}
	return out
}

// podSubnets are the ranges that kubeadm gives to pods, and the task.
func podSubnets(s task.Scene) ([]string, string) {
	for _, n := range s {
		if list := kube.Texts(n.Get("init", "pod_subnet")); n.Kind == "kubeadm" && len(list) > 0 {
			return list, n.ID
		}
	}
	return nil, ""
}

type pool struct {
	cidr  string
	param []any
}

// pools are the ranges a manifest's edits and texts name: Calico's by environment, flannel's in its ConfigMap.
func pools(n task.Neighbour) (out []pool) {
	for i, e := range kube.List(n.Get("set")) {
		edit, _ := e.(map[string]any)
		env, _ := edit["env"].(map[string]any)
		if cidr, ok := env["CALICO_IPV4POOL_CIDR"].(string); ok {
			out = append(out, pool{cidr, []any{"set", i, "env", "CALICO_IPV4POOL_CIDR"}})
		}
		json, _ := edit["json"].(map[string]any)
		conf, _ := json["net-conf.json"].(map[string]any)
		if cidr, ok := conf["Network"].(string); ok {
			out = append(out, pool{cidr, []any{"set", i, "json"}})
		}
	}
	network := regexp.MustCompile(`"Network":\s*"([0-9./]+)"`)
	for _, key := range []string{"content", "template"} {
		if m := network.FindStringSubmatch(n.Text(key, "text")); m != nil {
			out = append(out, pool{m[1], []any{key}})
		}
	}
	return out
}

// within tells whether a range is part of one of others.
func within(cidr string, others []string) bool {
	p, err := netip.ParsePrefix(cidr)
	return err == nil && slices.ContainsFunc(others, func(o string) bool {
		q, err := netip.ParsePrefix(o)
		return err == nil && q.Bits() <= p.Bits() && q.Contains(p.Addr())
	})
}
