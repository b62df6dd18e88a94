#!/bin/bash
# Builds Kubernetes 1.20.2 from Debian bookworm's source package, and container images, once, into LAB_DIR/kubernetes.
# usage: kubernetes.sh [deps | bin | images | all]      (default: all)
# result: kubernetes/bin/* and kubernetes/images/*.tar (docker archives)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
BIN=$K8S/bin SRC=$K8S/gopath/src/k8s.io/kubernetes

bin_built() { [ -e "$K8S/bin-ok" ] && [ -e "$BIN/cri-dockerd" ]; } # which came later than the others
images_stamp() { cat "$HERE/mkimg.py" "$K8S/bin-ok" | cksum; }
images_built() { [ -e "$K8S/images-ok" ] && [ "$(cat "$K8S/images-ok")" = "$(images_stamp)" ]; }

deps() {
  need_packages golang-1.19-go golang-github-modern-go-reflect2-dev gcc libc6-dev make rsync dpkg-dev mmdebstrap python3
}

source_tree() {
  mkdir -p "$(dirname "$SRC")" "$BIN"
  [ ! -d "$SRC" ] || return 0
  rm -rf "$SRC.part"
  (cd "$K8S" && lab_apt /var/lib/dpkg/status source --download-only kubernetes >/dev/null)
  dpkg-source --no-check -x "$K8S"/kubernetes_1.20.5+really1.20.2-*.dsc "$SRC.part" >/dev/null 2>&1
  # the vendored reflect2 1.0.1 panics when built by go 1.19
  rm -rf "$SRC.part/vendor/github.com/modern-go/reflect2"
  cp -a /usr/share/gocode/src/github.com/modern-go/reflect2 "$SRC.part/vendor/github.com/modern-go/"
  mv "$SRC.part" "$SRC"
}

bin() {
  ! bin_built || { say "bin exists"; return; }
  local p t0 ld="-s -w" c=(kubeadm kubelet kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy cri-dockerd)
  t0=$(ms)
  source_tree
  say "source ready after $((($(ms) - t0) / 1000)) s"
  export PATH=/usr/lib/go-1.19/bin:$PATH GOPATH=$K8S/gopath GOCACHE=$K8S/gocache GOFLAGS='' GO111MODULE=off CGO_ENABLED=0
  unset GOROOT
  for p in component-base/version client-go/pkg/version; do # GOPATH mode: the version variables live below vendor/
    p="-X k8s.io/kubernetes/vendor/k8s.io/$p"
    ld+=" $p.gitVersion=$K8S_VERSION $p.gitMajor=1 $p.gitMinor=20 $p.gitTreeState=clean"
    ld+=" $p.gitCommit=faecb196815e248d3ecfb03c680a4507229c2a56 $p.buildDate=2021-01-13T13:20:00Z"
  done
  cd "$SRC"
  nice make generated_files >"$K8S/generate.log" 2>&1 || { rm -rf "$SRC"; die "make generated_files: see $K8S/generate.log"; }
  say "code generated after $((($(ms) - t0) / 1000)) s"
  cp -r "$HERE/testdata/cri-dockerd" cmd/
  nice go build -trimpath -ldflags "$ld" -o "$BIN/" "${c[@]/#/./cmd/}"
  gcc -Os -Wall -static -DVERSION="v$PAUSE_TAG" -o "$BIN/pause" build/pause/linux/pause.c
  cd "$HERE"
  say "bin built in $((($(ms) - t0) / 1000)) s, $(du -sm "$BIN" | cut -f1) MB; source and cache were $(du -smc "$K8S"/gopath "$K8S"/gocache | tail -1 | cut -f1) MB"
  rm -rf "$K8S/gopath" "$K8S/gocache" "$K8S"/kubernetes_*
  date +%s >"$K8S/bin-ok"
}

# files of Debian packages, unpacked without running their scripts: what etcd and kube-proxy need at run time
userland() {
  local u=$K8S/userland n
  [ ! -e "$u/ok" ] || return 0
  rm -rf "$u"
  mmdebstrap --quiet --mode=root --variant=extract --include=libc6,dash,iptables,conntrack,etcd-server,etcd-client \
    --dpkgopt='path-exclude=/usr/share/*' "$SUITE" "$u" "$(mirror)"
  rm -rf "${u:?}"/{usr/share,var,etc/apt,etc/dpkg} "$u"/usr/lib/x86_64-linux-gnu/{perl*,gconv} "$u"/usr/bin/perl* "$K8S/etcd"
  mkdir "$K8S/etcd" && mv "$u"/usr/bin/etcd{,ctl} "$K8S/etcd/" && rm -f "$u/usr/bin/etcdutl"
  ln -sf dash "$u/bin/sh"
  for n in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf xtables-nft-multi "$u/usr/sbin/$n"
  done
  chroot "$u" /usr/sbin/iptables --version >/dev/null
  touch "$u/ok"
}

image() { # NAME TAG ENTRYPOINT SRC=DST..
  local name=$1 tag=$2 entry=$3
  shift 3
  "$HERE/mkimg.py" "$K8S/images/$name.tar" "$IMAGE_REPO/$name:$tag" "$entry" "$@" >/dev/null
}

images() {
  ! images_built || { say "images exist"; return; }
  local t0 c d u=()
  t0=$(ms)
  mkdir -p "$K8S/images"
  userland
  for d in bin sbin lib lib64 usr etc; do [ ! -e "$K8S/userland/$d" ] || u+=("$K8S/userland/$d=/$d"); done
  for c in kube-apiserver kube-controller-manager kube-scheduler; do image $c $K8S_VERSION "$c" "$BIN/$c=/usr/local/bin/$c"; done
  image kube-proxy $K8S_VERSION kube-proxy "${u[@]}" "$BIN/kube-proxy=/usr/local/bin/kube-proxy"
  image etcd $ETCD_TAG etcd "${u[@]}" "$K8S/etcd=/usr/local/bin"
  image pause $PAUSE_TAG /pause "$BIN/pause=/pause"
  image coredns $DNS_TAG /pause "$BIN/pause=/pause" # a placeholder: preflight wants the image, nothing runs it
  images_stamp >"$K8S/images-ok"
  say "images built in $((($(ms) - t0) / 1000)) s, $(du -sm "$K8S/images" | cut -f1) MB"
}

need_root
case ${1:-all} in
  deps | bin | images) "$1" ;;
  all) { bin_built && images_built; } || { deps; bin; images; } ;;
  *) sed -n '2,4s/^# //p' "$0"; exit 2 ;;
esac
