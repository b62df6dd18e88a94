package internet

import (
	"path"
	"strings"
)

// manifest is a small copy of the manifest of an add-on: the objects and fields that playbooks edit and wait for.
func manifest(url string) string {
	name := path.Base(url)
	switch {
	case strings.Contains(url, "coreos/flannel"): // up to 0.19 it lay in kube-system, with a DaemonSet for each architecture
		return strings.NewReplacer("namespace: kube-flannel", "namespace: kube-system", "name: kube-flannel-ds", "name: kube-flannel-ds-amd64").
			Replace(flannel[strings.Index(flannel, "---\napiVersion: v1\nkind: ConfigMap"):])
	case strings.Contains(name, "calico"):
		out := calicoNode
		if strings.Contains(name, "typha") {
			out += calicoTypha
		}
		return out
	case strings.Contains(name, "flannel"):
		return flannel
	}
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: simulated\n  namespace: default\ndata:\n  file: " + name + "\n"
}

const calicoNode = `---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: calico-node
  namespace: kube-system
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: calico-config
  namespace: kube-system
data:
  veth_mtu: "0"
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: ippools.crd.projectcalico.org
spec:
  group: crd.projectcalico.org
  names:
    kind: IPPool
    plural: ippools
  scope: Cluster
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: calico-node
  namespace: kube-system
spec:
  selector:
    matchLabels:
      k8s-app: calico-node
  template:
    spec:
      hostNetwork: true
      containers:
        - name: calico-node
          image: docker.io/calico/node:v3.28.0
          env:
            - name: CALICO_IPV4POOL_IPIP
              value: "Always"
            - name: FELIX_HEALTHENABLED
              value: "true"
          volumeMounts:
            - mountPath: /host/etc/cni/net.d
              name: cni-net-dir
      volumes:
        - name: cni-net-dir
          hostPath:
            path: /etc/cni/net.d
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: calico-kube-controllers
  namespace: kube-system
spec:
  replicas: 1
  selector:
    matchLabels:
      k8s-app: calico-kube-controllers
  template:
    spec:
      containers:
        - name: calico-kube-controllers
          image: docker.io/calico/kube-controllers:v3.28.0
`

const calicoTypha = `---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: calico-typha
  namespace: kube-system
spec:
  replicas: 1
  selector:
    matchLabels:
      k8s-app: calico-typha
  template:
    spec:
      hostNetwork: true
      containers:
        - name: calico-typha
          image: docker.io/calico/typha:v3.28.0
`

const flannel = `---
apiVersion: v1
kind: Namespace
metadata:
  name: kube-flannel
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-flannel-cfg
  namespace: kube-flannel
data:
  cni-conf.json: |
    {"name": "cbr0", "cniVersion": "0.3.1"}
  net-conf.json: |
    {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: kube-flannel-ds
  namespace: kube-flannel
spec:
  selector:
    matchLabels:
      app: flannel
  template:
    spec:
      hostNetwork: true
      containers:
        - name: kube-flannel
          image: docker.io/flannel/flannel:v0.25.1
          env:
            - name: POD_NAMESPACE
              value: kube-flannel
      volumes:
        - name: cni
          hostPath:
            path: /etc/cni/net.d
`
