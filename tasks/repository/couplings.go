package repository

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
func (p *Repository) Couplings() []task.Coupling {
	return []task.Coupling{
		{Rule: "repository-gone", Fact: "Google's repositories of Kubernetes were removed on 2024-03-04, pkgs.k8s.io begins with 1.24, mirrorlist.centos.org ended in July 2024", Source: "kubernetes/release#3485, #3497, #3512; apache/doris#37568", Find: findGone},
		{Rule: "repository-minor", Fact: "pkgs.k8s.io and its mirrors have one repository for each minor version", Source: "kubernetes/release#3497", Find: findMinor},
	}
}

// address is one that a repository has.
type address struct {
	url   string
	param []any
}

func addresses(n task.Neighbour) (out []address) {
	for _, at := range [][]string{{"apt", "uris"}, {"yum", "baseurl"}, {"yum", "gpgkey"}} {
		for i, url := range kube.Texts(n.Get(at...)) {
			out = append(out, address{url, []any{at[0], at[1], i}})
		}
	}
	for _, at := range [][]string{{"apt", "key_url"}, {"yum", "mirrorlist"}, {"apt", "mirror", "to"}, {"yum", "mirror", "to"}} {
		if url := n.Text(at...); url != "" {
			param := make([]any, len(at))
			for i := range at {
				param[i] = at[i]
			}
			out = append(out, address{url, param})
		}
	}
	return out
}

// minor is the minor version of Kubernetes whose repository an address is; 0 for others.
func minor(url string) int {
	m := regexp.MustCompile(`/core:?/stable:?/v1\.(\d+)/`).FindStringSubmatch(url)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

func findGone(s task.Scene) (out []task.Finding) {
	for _, n := range s.Here("repository") {
		for _, a := range addresses(n) {
			if why, hint := gone(a.url); why != "" && n.Text("state") != "absent" {
				out = append(out, task.Finding{Task: n.ID, Param: a.param, Says: a.url + " " + why, Hint: hint})
				break
			}
		}
	}
	return out
}

func gone(url string) (why, hint string) {
	google := []string{"apt.kubernetes.io", "yum.kubernetes.io", "packages.cloud.google.com/apt", "packages.cloud.google.com/yum"}
	switch {
	case slices.ContainsFunc(google, func(g string) bool { return strings.Contains(url, g) }):
		return "is no more", "take https://pkgs.k8s.io/core:/stable:/v1.XX/, or a mirror"
	case strings.Contains(url, "pkgs.k8s.io") && minor(url) != 0 && minor(url) < 24:
		return "has never been there", "versions before 1.24 need a mirror or a bundle of packages"
	case strings.Contains(url, "mirrorlist.centos.org"):
		return "is no more", "take vault.centos.org"
	}
	return "", ""
}

func findMinor(s task.Scene) (out []task.Finding) {
	d, known := kube.PackageIn(s, "kubeadm")
	if !known {
		d, known = kube.PackageIn(s, "kubelet")
	}
	if !known {
		return nil
	}
	var wrong []task.Finding
	for _, n := range s.Here("repository") {
		for _, a := range addresses(n) {
			switch m := minor(a.url); m {
			case 0:
			case d.Minor:
				return nil
			default:
				wrong = append(wrong, task.Finding{Task: n.ID, Param: a.param, With: d.Task, Says: fmt.Sprintf("this is the repository of Kubernetes 1.%d, and %s is to be installed", m, d.Version), Hint: fmt.Sprintf("take that of v1.%d", d.Minor)})
			}
		}
	}
	return wrong[:min(1, len(wrong))]
}
