package e2e

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// picture is the state of the hosts and of the cluster, as lines that can be compared between two builds: no addresses of
// pods, no certificates, nothing that is drawn by lot or depends on who joined first.
type picture map[string][]string

const look = `
for f in /etc/hosts /etc/hostname /etc/fstab /etc/timezone /etc/sysctl.d/*.conf /etc/modules-load.d/*.conf /etc/chrony/chrony.conf \
  /etc/containerd/config.toml /etc/crictl.yaml /usr/local/lib/systemd/system/containerd.service \
  /etc/haproxy/haproxy.cfg /etc/keepalived/keepalived.conf /etc/keepalived/check_apiserver.sh \
  /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env \
  /etc/kubernetes/manifests/kube-apiserver.yaml /etc/kubernetes/manifests/kube-scheduler.yaml /etc/kubernetes/manifests/kube-controller-manager.yaml; do
  [ -e "$f" ] && echo "file $f $(stat -c '%a %U' "$f") $(sha256sum < "$f")"
done
for d in /usr/local/bin /usr/local/sbin /opt/cni/bin; do (cd $d && find . -type f -exec sha256sum {} + | sort -k 2 | sed "s,^,$d ,"); done
find /etc/cni /etc/kubernetes /root/.kube -type f | sed 's,^,there ,'
readlink /etc/localtime | sed 's,^,zone ,'
dpkg-query -W -f 'package ${Package} ${Version} ${db:Status-Abbrev}\n'
apt-mark showhold | sed 's,^,hold ,'
for u in containerd kubelet haproxy keepalived chrony lab-routes; do echo "unit $u $(systemctl is-enabled $u 2>&1) $(systemctl is-active $u 2>&1)"; done
for k in $(sed -n 's/^\([a-z0-9_.-]*\) *=.*/\1/p' /etc/sysctl.d/95-kubernetes.conf); do echo "sysctl $k $(cat /proc/sys/$(echo $k | tr . /))"; done
ctr -n k8s.io images ls -q | grep -v '@\|^sha256' | sed 's,^,image ,'
find /etc /usr/local /opt /var/lib/kflow /run -xdev -name '.*kflow*' 2>/dev/null | sed 's,^,left ,'
`

// takePicture looks at all hosts at once.
func takePicture(t *testing.T, l *lab) picture {
	t.Helper()
	p := picture{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, host := range allHosts {
		wg.Add(1)
		go func() {
			defer wg.Done()
			out, err := l.try("ssh", host, look)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%s: %v", host, err)
			}
			p[host] = sorted(out)
		}()
	}
	wg.Wait()
	nodes, err := l.kubectl(controlPlanes[0], `get nodes -o jsonpath='{range .items[*]}node {.metadata.name} {.status.nodeInfo.kubeletVersion} {.spec.taints[*].key}{"\n"}{end}'`)
	if err != nil {
		t.Errorf("nodes: %v", err)
	}
	pods, err := l.kubectl(controlPlanes[0], `-n kube-system get pods -o jsonpath='{range .items[*]}pod {.metadata.name} {.spec.nodeName} {.status.phase}{"\n"}{end}'`)
	if err != nil {
		t.Errorf("pods: %v", err)
	}
	pods = regexp.MustCompile(`(kube-proxy)-[a-z0-9]{5}`).ReplaceAllString(pods, "$1")
	members, err := l.etcd(controlPlanes[0], "member list")
	if err != nil {
		t.Errorf("members of etcd: %v", err)
	}
	members = regexp.MustCompile(`(?m)^[0-9a-f]+, `).ReplaceAllString(members, "member ")
	p["the cluster"] = sorted(nodes + "\n" + pods + "\n" + members)
	return p
}

func sorted(text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return lines
}

// compare says what differs from the build that nobody disturbed.
func compare(t *testing.T, p picture) {
	t.Helper()
	if uninterrupted == nil {
		t.Log("NOT COMPARED with an uninterrupted build: TestCluster did not run before")
		return
	}
	lines, differ := 0, 0
	for who, want := range uninterrupted {
		lines += len(want)
		for _, line := range want {
			if !slices.Contains(p[who], line) {
				t.Errorf("%s: missing after kills: %s", who, line)
				differ++
			}
		}
		for _, line := range p[who] {
			if !slices.Contains(want, line) {
				t.Errorf("%s: only after kills: %s", who, line)
				differ++
			}
		}
	}
	t.Logf("same end state as the uninterrupted build: %d lines about hosts and cluster compared, %d differ", lines, differ)
}
