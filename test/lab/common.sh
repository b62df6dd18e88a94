# shellcheck shell=bash
# Settings and helpers of all lab scripts; every setting can be given in the environment.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_DIR=${LAB_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kflow-lab} # everything built and every running host
LAB_NS=${LAB_NS:-kflab}                                       # network namespace and cgroup of this lab: letters and digits
NET=${LAB_NET:-10.99.0}                                       # first three parts of the lab's /24
LAB_HOSTS=${LAB_HOSTS:-k8s-mn01=11 k8s-mn02=22 k8s-mn03=33 k8s-wn01=100 k8s-wn02=200}
LAB_DISK=${LAB_DISK:-20G}                                     # size of a host's disk (a sparse file)
VIP=$NET.240
FILES_URL=http://$NET.1:8000                                  # file server of the lab
SUITE=bookworm
K8S_VERSION=v1.20.2 PAUSE_TAG=3.2 ETCD_TAG=3.4.13-0 DNS_TAG=1.7.0 # what kubeadm 1.20.2 asks for
IMAGE_REPO=lab.kflow.test
RUN=$LAB_DIR/run
[ "$LAB_NS" = kflab ] || RUN=$LAB_DIR/run-$LAB_NS # several labs share what was built
export HERE RUN LAB_DISK BASE=$LAB_DIR/base KEY=$LAB_DIR/id_ed25519 REPO=$LAB_DIR/repo FILES=$LAB_DIR/files K8S=$LAB_DIR/kubernetes
export FILES_URL SUITE VIP K8S_VERSION PAUSE_TAG ETCD_TAG DNS_TAG IMAGE_REPO

say() { echo "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }
ms() { echo $(($(date +%s%N) / 1000000)); }
need_root() { [ "$(id -u)" = 0 ] || die "must be root"; }

# installs those of the named Debian packages that are missing on the machine
need_packages() {
  local p missing=()
  for p; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null
  apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "${missing[@]}" >/dev/null
}

# apt of its own, in LAB_DIR, so that the machine's apt stays as it is: sources = those of the machine plus deb-src;
# $1 = the dpkg status file that says what counts as installed.
lab_apt() {
  local status=$1 dir=$LAB_DIR/apt
  shift
  if [ -z "$(find "$dir/ok" -mmin -1440 2>/dev/null)" ]; then # package lists are good for a day
    mkdir -p "$dir"/{sources.d,lists/partial,cache/archives/partial}
    if [ -e /etc/apt/sources.list.d/debian.sources ]; then
      sed 's/^Types:.*/Types: deb deb-src/' /etc/apt/sources.list.d/debian.sources >"$dir/sources.d/lab.sources"
    else
      sed -n 's/^deb \(.*\)/deb \1\ndeb-src \1/p' /etc/apt/sources.list >"$dir/sources.d/lab.list"
    fi
    printf '%s;\n' 'Dir::Etc::sourcelist "/dev/null"' "Dir::Etc::sourceparts \"$dir/sources.d\"" "Dir::State::lists \"$dir/lists\"" \
      "Dir::Cache \"$dir/cache\"" 'APT::Sandbox::User "root"' 'APT::Install-Recommends "false"' 'Acquire::Languages "none"' \
      'Debug::NoLocking "true"' 'APT::Get::Assume-Yes "true"' 'quiet "2"' >"$dir/apt.conf"
    APT_CONFIG=$dir/apt.conf apt-get update >/dev/null
    touch "$dir/ok"
  fi
  APT_CONFIG=$dir/apt.conf apt-get -o "Dir::State::status=$status" "$@"
}

# the Debian mirror of this machine; its name is kept nowhere
mirror() {
  local m
  m=$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  [ -n "$m" ] || m=$(awk '$1 == "deb"{for (i = 2; i <= NF; i++) if ($i ~ /:\//) {print $i; exit}}' /etc/apt/sources.list)
  echo "$m"
}
