package kubeadm

import "github.com/kflow/kflow/engine/task"

const doc = `One task carries out one arm.

**init** makes the first control plane. It has converged when admin.conf is there, the API server says it is ready and the
cluster has this node. The version decides which configuration API is written (v1alpha2 for 1.11 to v1beta4 from 1.31 on;
kubernetes#107013, #125029). controlPlaneEndpoint must be given for a cluster that shall have more than one control plane
[create-cluster]; the load balancer must run before, on another port than 6443 if it is on the same host (kubeadm#2472).
From 1.22 on kubeadm configures kubelets for the systemd cgroup driver; before, set kubelet: {cgroupDriver: systemd}.

**join** has converged when the cluster has this node, and for a control plane when its own API server (with its etcd) is
ready. Neither admin.conf nor kubelet.conf is taken as proof (ksail#5818). Workers join in parallel; give control planes a
lock (lock: etcd_join), as etcd takes one new member at a time (kubeadm#1646, #2005, enhancements#3615). What a join needs is in from,
which is obtained only when a host is about to join.

**token** mints a bootstrap token and, with upload_certs, uploads the control plane's certificates under a new key. Tokens die
after their ttl, certificate keys after two hours; the output expires is the earlier. Use run: on_demand: nothing of it is stored,
and a resumed run mints again (sealos#1783, kubeadm#1988).

**images** asks kubeadm which images a control plane needs, and has them on the host.

**upgrade** brings a cluster to a later patch or to the next minor version: with cluster on one control plane first (kubeadm upgrade
apply), then without it on the other control planes and on the workers (kubeadm upgrade node), one after the other. kubeadm of the new version
must be there, kubelet and kubectl follow after it: a kubelet is never newer than its API server, and at most three minor
versions older (two before 1.28; kubernetes#120825). More than one minor version at once, and kubelets that would stay behind too far, are refused. What was
cut off is carried out again, although the cluster says already that it has the new version (kubeasz#1420). playbooks/upgrade.yaml
does all of it, with drains. init and join do not upgrade: where another version is declared than the one there is, they say so.

**certificates** renews those of a control plane before they expire, a year after kubeadm has made them (kubeadm#1361); an upgrade renews
them, too. The static pods are started again by a note in their manifests, so that they read the new ones (website#28944). Give it
max_parallel: 1. Certificate authorities are not renewed: that they end is said. Kubelets renew their own.

**reset** removes what kubeadm has made, and with network what network add-ons leave behind (website#49448, kubernetes#39557).
Drain the node, reset it, then delete it, in this order: kubeadm takes a control plane's member out of
etcd only while the cluster still has its node (otherwise kflow does it, through etcd on this host). iptables rules of kube-proxy stay until the
next boot.

**After an interruption.** kubeadm init and join do not start again over what an interrupted run left (kubeadm#2353, kubekey#148). kflow notes
on the host that it has started kubeadm; what an attempt of the last 24 hours left is reset and made anew, once a kubeadm
that still runs has ended. On a control plane that joins, kubeadm reset takes its member out of etcd. Certificates and static
pods that were there before come back. A control plane that kflow did not leave half made is never reset: if its API does not
answer, the task fails and says so.

**Secrets** are passed to kubeadm in files below /run that only root can read and that are removed at once; never as arguments.`

func examples() []task.Example {
	return []task.Example{
		{Title: "First control plane", YAML: `- id: init
  on: control_plane[0]
  timeout: 15m
  kubeadm:
    init:
      version: 1.29.6
      control_plane_endpoint: 192.168.10.240:8443
      advertise_address: 192.168.10.11
      cri_socket: unix:///var/run/containerd/containerd.sock
      image_repository: registry.aliyuncs.com/google_containers
      service_subnet: 10.96.0.0/16
      pod_subnet: 10.244.0.0/16
`},
		{Title: "What a join needs, minted when it is needed", YAML: `- id: join_info
  on: control_plane[0]
  run: on_demand
  kubeadm:
    token: {ttl: 2h, upload_certs: true}
- id: join
  on: workers
  kubeadm:
    join: {role: worker, from: "${{ tasks.join_info.outputs }}"}
`},
		{Title: "A further control plane", YAML: `- id: join_info
  on: control_plane[0]
  run: on_demand
  kubeadm:
    token: {ttl: 2h, upload_certs: true}
- id: join_control_plane
  on: control_plane[1:]
  lock: etcd_join
  kubeadm:
    join:
      role: control_plane
      from: ${{ tasks.join_info.outputs }}
      advertise_address: ${{ host.node_ip }}
`},
		{Title: "Images before they are needed", YAML: `- id: images
  kubeadm:
    images: {version: 1.29.6, image_repository: registry.aliyuncs.com/google_containers}
`},
		{Title: "The next minor version: the cluster first, then each host (playbooks/upgrade.yaml drains them, too)", YAML: `- id: upgrade
  on: control_plane[0]
  kubeadm:
    upgrade: {version: 1.30.2, cluster: true}
- id: upgrade_others
  on: control_plane[1:]
  needs: [upgrade@all]
  max_parallel: 1
  kubeadm:
    upgrade: {version: 1.30.2}
`},
		{Title: "Certificates for another year, one control plane after the other", YAML: `- id: certificates
  on: control_plane
  max_parallel: 1
  kubeadm:
    certificates: {renew_before: 1000h}
`},
		{Title: "Take a cluster down", YAML: `- id: reset
  kubeadm:
    reset: {cri_socket: unix:///run/containerd/containerd.sock}
`},
	}
}
