package sysctl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// Couplings implements task.Coupler.
func (p *Sysctl) Couplings() []task.Coupling {
	return []task.Coupling{
		{Rule: "sysctl-module", Fact: "settings of a module exist only once it is loaded", Source: "kubernetes#127593, flannel#2068", Warning: true, Find: findModules},
		{Rule: "sysctl-file", Fact: "the file of a sysctl task holds nothing but its values, so two tasks with one file undo each other at every run", Source: "Puppet: duplicate declaration", Warning: true, Find: findFiles},
	}
}

// module is the module that has a setting; "" where the kernel itself has it.
func module(key string) string {
	switch {
	case strings.HasPrefix(key, "net.bridge."):
		return "br_netfilter"
	case strings.HasPrefix(key, "net.netfilter.nf_conntrack"):
		return "nf_conntrack"
	case strings.HasPrefix(key, "net.ipv4.vs."):
		return "ip_vs"
	}
	return ""
}

// findFiles finds tasks that write one file.
func findFiles(s task.Scene) (out []task.Finding) {
	first := map[string]string{} // task by file
	for _, n := range s.Here("sysctl") {
		file := n.Text("file")
		switch with := first[file]; {
		case file == "":
		case with == "":
			first[file] = n.ID
		default:
			out = append(out, task.Finding{Task: n.ID, Param: []any{"file"}, With: with, Says: fmt.Sprintf("`%s` writes %s too: each removes the values of the other", with, file), Hint: "give each its own file, or put all values into one task"})
		}
	}
	return out
}

func findModules(s task.Scene) (out []task.Finding) {
	for _, n := range s.Here("sysctl") {
		values, _ := n.Get("values").(map[string]any)
		missing := map[string]string{}
		for key := range values {
			if m := module(key); m != "" && !loaded(s, m) && (missing[m] == "" || key < missing[m]) {
				missing[m] = key
			}
		}
		for m, key := range missing {
			out = append(out, task.Finding{Task: n.ID, Param: []any{"values", key}, Says: fmt.Sprintf("%s is a setting of the module %s, which no task loads", key, m), Hint: "add a task `modprobe: [" + m + "]` before"})
		}
	}
	slices.SortFunc(out, func(a, b task.Finding) int { return strings.Compare(a.Says, b.Says) })
	return out
}

// loaded tells whether a task of the host loads a module.
func loaded(s task.Scene, module string) bool {
	for _, n := range s.Here("modprobe") {
		if strings.Contains(fmt.Sprint(n.Get("modules")), module) {
			return true
		}
	}
	return false
}
