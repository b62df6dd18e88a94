package cluster

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// ctl is one call of kubectl.
type ctl struct {
	*host.Proc
	n     *Network
	c     *Cluster
	flags map[string]string
	words []string
	ns    string
}

// ask finds the cluster behind a kubeconfig, or says what kubectl says when there is none. server is another address than
// the kubeconfig names.
func (n *Network) ask(from *host.Host, kubeconfig, server string) (*Cluster, string) {
	if kubeconfig == "" {
		return nil, `error: stat /etc/kubernetes/admin.conf: no such file or directory`
	}
	if server == "" {
		server = strings.TrimPrefix(field(kubeconfig, "server"), "https://")
	}
	server = strings.TrimPrefix(server, "https://")
	p, how := n.reach(from, server)
	switch {
	case how == refused || how == open && p == nil:
		return nil, "The connection to the server " + server + " was refused - did you specify the right host or port?"
	case how == reset:
		return nil, `Unable to connect to the server: Get "https://` + server + `/api": unexpected EOF`
	case how != open:
		return nil, "Unable to connect to the server: dial tcp " + server + ": i/o timeout"
	case !n.healthy(p):
		return nil, "Error from server: etcdserver: request timed out"
	}
	if !strings.Contains(kubeconfig, base64.StdEncoding.EncodeToString([]byte(p.cluster.ca))) {
		return nil, "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown authority"
	}
	return p.cluster, ""
}

func (n *Network) kubectl(p *host.Proc) int {
	flags, words := p.Flags("--kubeconfig", "--server", "-s", "-n", "--namespace", "-o", "--output", "-f", "--filename", "-l", "--selector", "--field-selector",
		"--raw", "--timeout", "--request-timeout", "-c", "--container", "--for")
	if len(words) == 0 {
		return p.Unknown()
	}
	k := &ctl{Proc: p, n: n, flags: flags, words: words, ns: first(flags["-n"], flags["--namespace"], "default")}
	if words[0] == "version" {
		p.Printf(`{"clientVersion": {"gitVersion": "v%s"}}`+"\n", versionOf(p.Host, "kubectl"))
		return 0
	}
	p.Take(120 * time.Millisecond)
	file := first(flags["--kubeconfig"], "/root/.kube/config")
	c, why := n.ask(p.Host, p.Host.Text(file), first(flags["--server"], flags["-s"]))
	if c == nil {
		if strings.Contains(why, "timeout") {
			p.Take(10 * time.Second)
		}
		return p.Fail("%s", why)
	}
	k.c = c
	k.keepCache()
	return k.run()
}

// keepCache writes down below HOME what kubectl has learnt of the API, where it can.
func (k *ctl) keepCache() {
	home := "/root"
	for _, kv := range k.Env {
		if v, ok := strings.CutPrefix(kv, "HOME="); ok {
			home = v
		}
	}
	_ = k.Host.Write(home+"/.kube/cache/discovery/servergroups.json", "{}\n", 0o660) // without, it asks again
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

func (k *ctl) run() int {
	switch k.words[0] {
	case "get":
		return k.get()
	case "apply", "create":
		return k.apply()
	case "diff":
		return k.diff()
	case "wait":
		k.Take(300 * time.Millisecond)
		return 0
	case "exec":
		return k.exec()
	case "cordon", "uncordon", "drain", "taint", "label", "delete":
		return k.edit()
	}
	return k.Unknown()
}

func (k *ctl) get() int {
	if raw := k.flags["--raw"]; raw != "" {
		switch strings.SplitN(raw, "?", 2)[0] {
		case "/readyz", "/healthz", "/livez":
			k.Printf("ok")
			return 0
		}
		return k.Unknown()
	}
	if len(k.words) < 2 {
		return k.Unknown()
	}
	found, missing, single := k.chosen()
	if len(missing) > 0 {
		if _, ignore := k.flags["--ignore-not-found"]; !ignore {
			return k.Fail(`Error from server (NotFound): %s not found`, strings.Join(missing, ", "))
		}
	}
	switch first(k.flags["-o"], k.flags["--output"]) {
	case "json":
		return k.json(found, single)
	case "name":
		for _, o := range found {
			k.Printf("%s\n", o.ref())
		}
		return 0
	case "", "wide":
		for _, o := range found {
			k.Printf("%s   %s\n", o.name, o.state())
		}
		return 0
	}
	return k.Unknown()
}

// json prints objects as kubectl does: one as it is, more as a list; nothing when nothing was found by name.
func (k *ctl) json(found []*object, single bool) int {
	if single && len(found) == 0 {
		return 0
	}
	var v any
	if single && len(found) == 1 {
		v = found[0].data
	} else {
		items := make([]any, len(found))
		for i, o := range found {
			items[i] = o.data
		}
		v = map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return k.Fail("%v", err)
	}
	k.Printf("%s\n", b)
	return 0
}

// chosen finds what a get names: kind, kind name .., kind/name .., or kinds by commas.
func (k *ctl) chosen() (found []*object, missing []string, single bool) {
	kinds, names := k.words[1], k.words[2:]
	if strings.Contains(kinds, "/") {
		for _, ref := range k.words[1:] {
			kind, name, _ := strings.Cut(ref, "/")
			if o := k.n.object(k.c, kindOf(kind), k.ns, name); o != nil {
				found = append(found, o)
			} else {
				missing = append(missing, fmt.Sprintf("%s %q", resource(kindOf(kind)), name))
			}
		}
		return found, missing, len(k.words) == 2
	}
	for _, kind := range strings.Split(kinds, ",") {
		kind = kindOf(kind)
		if len(names) == 0 {
			ns := k.ns
			_, all := k.flags["--all-namespaces"]
			if _, short := k.flags["-A"]; all || short {
				ns = "*"
			}
			found = append(found, k.n.list(k.c, kind, ns)...)
			continue
		}
		for _, name := range names {
			if o := k.n.object(k.c, kind, k.ns, name); o != nil {
				found = append(found, o)
			} else {
				missing = append(missing, fmt.Sprintf("%s %q", resource(kind), name))
			}
		}
	}
	return k.filter(found), missing, len(names) == 1
}

// resource is a kind as the API server names it in errors.
func resource(kind string) string {
	name := strings.ToLower(kind) + "s"
	if slices.Contains([]string{"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"}, kind) {
		name += ".apps"
	}
	return name
}

// filter keeps what the selectors choose.
func (k *ctl) filter(list []*object) []*object {
	if s := k.flags["--field-selector"]; s != "" {
		want := strings.TrimPrefix(s, "spec.nodeName=")
		list = slices.DeleteFunc(list, func(o *object) bool { return o.onNode != want })
	}
	for _, s := range strings.Split(first(k.flags["-l"], k.flags["--selector"]), ",") {
		if key, value, ok := strings.Cut(s, "="); ok {
			list = slices.DeleteFunc(list, func(o *object) bool { return o.labels[key] != strings.TrimPrefix(value, "=") })
		}
	}
	return list
}

// exec answers what etcdctl says in the pod of etcd.
func (k *ctl) exec() int {
	line := strings.Join(k.words, " ")
	k.Take(250 * time.Millisecond)
	k.n.mu.Lock()
	members := slices.Clone(k.c.members)
	k.n.mu.Unlock()
	switch {
	case !strings.Contains(line, "etcdctl"):
		return k.Unknown()
	case strings.HasSuffix(line, "member list"):
		for i, m := range members {
			k.Printf("%016x, started, %s, https://%s:2380, https://%s:2379, %v\n", 0x8e9e05c52164694d+uint64(i), m.name, m.host.IP, m.host.IP, m.learner)
		}
		return 0
	case strings.Contains(line, "snapshot save "):
		return k.snapshot(members)
	case strings.Contains(line, "endpoint health"):
		code := 0
		for _, m := range members {
			if !k.n.alive(m) {
				k.Errorf("https://%s:2379 is unhealthy: failed to commit proposal: context deadline exceeded\n", m.host.IP)
				code = 1
				continue
			}
			k.Printf("https://%s:2379 is healthy: successfully committed proposal: took = 9ms\n", m.host.IP)
		}
		return code
	}
	return k.Unknown()
}

// snapshot keeps the data of etcd in a file of the pod; below /var/lib/etcd it lies on the host.
func (k *ctl) snapshot(members []*member) int {
	pod, file := k.words[1], k.words[len(k.words)-1]
	for _, m := range members {
		if "etcd-"+m.name != pod {
			continue
		}
		k.Take(900 * time.Millisecond)
		if !k.n.alive(m) || strings.HasPrefix(file, "/var/lib/etcd/") && m.host.Write(file, "simulated snapshot\n", 0o600) != nil {
			return k.Fail("Error: could not open %s.part", file)
		}
		k.Printf("Snapshot saved at %s\n", file)
		return 0
	}
	return k.Fail("Error from server (NotFound): pods %q not found", pod)
}
