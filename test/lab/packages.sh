#!/bin/bash
# Fills the hosts' apt repository (LAB_DIR/repo) and the file server (LAB_DIR/files). Needs lab.sh base and kubernetes.sh.
# usage: packages.sh [debian | kubernetes | files | all]      (default: all, unless nothing has changed since the last time)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
WANT=(haproxy keepalived chrony ipset ipvsadm conntrack socat ethtool ebtables iptables containerd runc docker.io containernetworking-plugins
  apt-transport-https gnupg lsb-release bash-completion jq)
DEB=1.20.2-00

debian() { # packages and all they depend on beyond the base
  lab_apt "$BASE/var/lib/dpkg/status" install --download-only "${WANT[@]}" >/dev/null
  lab_apt "$BASE/var/lib/dpkg/status" autoclean >/dev/null # of former versions
  find "$REPO" -name '*.deb' ! -name 'kube*' ! -name 'cri-tools*' -delete
  cp "$LAB_DIR"/apt/cache/archives/*.deb "$REPO/"
  index
}
index() { (cd "$REPO" && dpkg-scanpackages -m . 2>/dev/null >Packages && gzip -kf Packages); }

deb() { # NAME VERSION DEPENDS: packs the tree on LAB_DIR/pack/NAME
  local r=$LAB_DIR/pack/$1
  mkdir -p "$r/DEBIAN"
  printf '%s\n' "Package: $1" "Version: $2" 'Architecture: amd64' 'Maintainer: kflow lab <lab@kflow.test>' ${3:+"Depends: $3"} \
    'Section: misc' 'Priority: optional' "Description: $1 built for the kflow lab" >"$r/DEBIAN/control"
  dpkg-deb --root-owner-group -Zgzip -z1 --build "$r" "$REPO/$1_${2}_amd64.deb" >/dev/null
}

kubernetes() {
  local p=$LAB_DIR/pack n
  rm -rf "$p"
  for n in kubeadm kubelet kubectl; do install -D "$K8S/bin/$n" "$p/$n/usr/bin/$n"; done
  install -D "$HERE/crictl" "$p/cri-tools/usr/bin/crictl"
  mkdir -p "$p/kubernetes-cni/opt/cni/bin" "$p"/kubelet/{lib/systemd/system,DEBIAN,etc/kubernetes/manifests,var/lib/kubelet} \
    "$p/kubeadm/etc/systemd/system/kubelet.service.d"
  dpkg-deb --fsys-tarfile "$REPO"/containernetworking-plugins_*.deb | tar -x -C "$p/kubernetes-cni/opt/cni/bin" --strip-components=4 ./usr/lib/cni
  cat >"$p/kubelet/lib/systemd/system/kubelet.service" <<'U'
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/home/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
U
  cat >"$p/kubeadm/etc/systemd/system/kubelet.service.d/10-kubeadm.conf" <<'U'
# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
U
  mkdir -p "$p/kubeadm/DEBIAN" # as the public packages do: kubelet runs (and fails until init) from its installation on
  printf '#!/bin/sh\n[ ! -d /run/systemd/system ] || systemctl daemon-reload\n' | tee "$p/kubelet/DEBIAN/postinst" >"$p/kubeadm/DEBIAN/postinst"
  echo '[ ! -d /run/systemd/system ] || systemctl enable --now --no-block kubelet 2>/dev/null' >>"$p/kubelet/DEBIAN/postinst"
  # shellcheck disable=SC2016
  printf '#!/bin/sh\n[ "$1" != remove ] || [ ! -d /run/systemd/system ] || systemctl disable --now kubelet >/dev/null 2>&1 || true\n' >"$p/kubelet/DEBIAN/prerm"
  chmod 755 "$p"/kube*/DEBIAN/*
  deb cri-tools 1.13.0+lab1 ''
  deb kubernetes-cni 0.8.7-00 ''
  deb kubectl $DEB ''
  deb kubelet $DEB 'iptables (>= 1.4.21), kubernetes-cni (>= 0.8.7), iproute2, socat, util-linux, mount, ebtables, ethtool, conntrack'
  deb kubeadm $DEB 'kubelet (>= 1.13.0), kubectl (>= 1.13.0), kubernetes-cni (>= 0.8.7), cri-tools (>= 1.13.0)'
  rm -rf "$p"
  index
}

files() { # what a playbook would download, under the public names
  local t=$LAB_DIR/unpack f
  rm -rf "$t"
  mkdir -p "$t/bin" "$FILES/images"
  for f in containerd runc containernetworking-plugins; do dpkg-deb -x "$REPO"/"$f"_*.deb "$t/$f"; done
  cp "$t"/containerd/usr/bin/{containerd,containerd-shim*,ctr} "$t/bin/"
  tar -C "$t" -czf "$FILES/containerd-1.6.20-linux-amd64.tar.gz" bin
  cp "$t/runc/usr/sbin/runc" "$FILES/runc.amd64"
  tar -C "$t/containernetworking-plugins/usr/lib/cni" -czf "$FILES/cni-plugins-linux-amd64-v1.1.1.tgz" .
  install -D -m 755 "$K8S/bin/cri-dockerd" "$t/cri-dockerd/cri-dockerd"
  tar -C "$t" -czf "$FILES/cri-dockerd-0.3.17.amd64.tgz" cri-dockerd
  ln -f "$K8S"/images/*.tar "$FILES/images/"
  rm -rf "$t"
  find "$FILES" -path "$FILES/rpm" -prune -o -name '*.sha256' -exec rm -f {} +
  find "$FILES" -path "$FILES/rpm" -prune -o -type f -print | while read -r f; do (cd "${f%/*}" && sha256sum "${f##*/}" >"${f##*/}.sha256"); done
}

need_root
t0=$(ms)
{ [ -e "$BASE/.lab-ok" ] && [ -e "$K8S/images-ok" ]; } || die "lab.sh base and kubernetes.sh come first"
stamp=$(cat "$HERE/packages.sh" "$HERE/crictl" "$HERE/testdata/cri-dockerd/main.go" "$BASE/.lab-ok" "$K8S/images-ok" | cksum)
[ "${1:-all}" != all ] || [ "$(cat "$LAB_DIR/packages-ok" 2>/dev/null)" != "$stamp" ] || { say "packages exist"; exit 0; }
rm -f "$LAB_DIR/packages-ok"
case ${1:-all} in
  debian | kubernetes | files) "$1" ;;
  all) debian; kubernetes; files; echo "$stamp" >"$LAB_DIR/packages-ok" ;;
  *) sed -n '2,3s/^# //p' "$0"; exit 2 ;;
esac
say "${1:-all} in $((($(ms) - t0) / 1000)) s; repo $(grep -c ^Package: "$REPO/Packages") packages, $(du -sm "$REPO" | cut -f1) MB; files $(du -sm "$FILES" | cut -f1) MB"
