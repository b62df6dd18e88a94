package file

import "github.com/kflow/kflow/engine/task"

const doc = `One task says all of a file: where its content comes from (exactly one source, or none for a file that is there),
what is edited in it, mode and owner. Edits are applied to the source, in the order replace, lines, set, block, and the
result is compared with the file in one pass; so "the default configuration, with three values changed" is one task, and
a second run finds nothing. Writing is atomic: a reader sees the old or the new content.

` + "`set`" + ` leaves comments, order and, in TOML and INI, every other byte alone. containerd's quoted tables work in both
styles: plugins."io.containerd.grpc.v1.cri".registry (config version 2, containerd 1.x) and
plugins.'io.containerd.cri.v1.runtime' (version 3, containerd 2.x; kubernetes/website#51386). A YAML file with several
documents cannot be edited with set.

No diff is shown of secret content, nor of what holds a private key. ` + "`validate`" + ` sees the new content before it is in place;
it does not run in a plan.`

func examples() []task.Example {
	return []task.Example{{
		Title: "containerd's default configuration with changes",
		YAML: `- id: config
  file:
    path: /etc/containerd/config.toml
    parents: true
    from:
      command: [containerd, config, default]
    set:
      plugins."io.containerd.grpc.v1.cri".sandbox_image: registry.k8s.io/pause:3.9
      plugins."io.containerd.grpc.v1.cri".registry.config_path: /etc/containerd/certs.d
      plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options.SystemdCgroup: true
`,
	}, {
		Title: "Names of all hosts in /etc/hosts",
		YAML: `- id: hosts_file
  file:
    path: /etc/hosts
    block:
      marker: cluster
      text: |
        ${{ for h in hosts }}
        ${{ h.node_ip }} ${{ h.name }}
        ${{ end }}
`,
	}, {
		Title: "A load balancer's configuration, checked before it is used",
		YAML: `- id: haproxy
  file:
    path: /etc/haproxy/haproxy.cfg
    template: files/haproxy.cfg
    validate: [haproxy, -c, -f, "%s"]
    backup: true
`,
	}, {
		Title: "Edit what is there, where it is there",
		YAML: `- id: mirror
  file:
    path: /etc/yum.repos.d/rocky.repo
    missing: ok
    replace:
      - match: ^mirrorlist=
        with: "#mirrorlist="
      - match: ^#baseurl=http://dl.rockylinux.org/\$contentdir
        with: baseurl=https://mirrors.aliyun.com/rockylinux
`,
	}, {
		Title: "A kubeconfig for root",
		YAML: `- id: admin
  file:
    path: /root/.kube/config
    copy_of: /etc/kubernetes/admin.conf
    parents: true
    mode: "0600"
`,
	}}
}
