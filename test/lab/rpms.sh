#!/bin/bash
# Builds what lab hosts of the RPM family need: a tree over that of lab.sh base with Debian's dnf and rpm, which calls itself a
# Rocky Linux 9 (LAB_DIR/rpm/tree), and small signed packages in repositories (LAB_DIR/files/rpm), as Rocky Linux, Kubernetes and
# Docker have them. Needs lab.sh base. usage: rpms.sh        (nothing to do when it is built and this script has not changed)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
R=$LAB_DIR/rpm
RPMS=$FILES/rpm # the file server has them
ROOT=$R/root # tree and base together, while building
SPECS=$ROOT/build/specs

tree() { # dnf, rpm and their plugins, in a layer of its own
  mkdir -p "$R"/{tree,work,root} "$R/cache/archives/partial"
  mount -t overlay "$LAB_NS-rpm" -o "lowerdir=$BASE,upperdir=$R/tree,workdir=$R/work,volatile" "$ROOT"
  mount --bind /dev "$ROOT/dev"
  mount -t proc proc "$ROOT/proc"
  lab_apt "$BASE/var/lib/dpkg/status" -o "Dir::Cache=$R/cache" install --download-only dnf dnf-plugins-core rpm createrepo-c gnupg >/dev/null
  mkdir -p "$ROOT/build/debs" "$SPECS"
  mv "$R"/cache/archives/*.deb "$ROOT/build/debs"
  chroot "$ROOT" sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -i --force-unsafe-io /build/debs/*.deb' >"$R/log" 2>&1
}

key() { # NAME: a key that signs packages; its public half becomes NAME.asc in the repositories
  chroot "$ROOT" gpg --batch --quiet --passphrase '' --quick-generate-key "$1@kflow.test" rsa2048 sign never
  chroot "$ROOT" gpg --batch --armor --export "$1@kflow.test" >"$RPMS/$1.asc"
}

# spec REPO NAME [EPOCH:]VERSION [LINES OF THE HEADER]; %post, %files and what makes files come on standard input
spec() {
  local v=${3#*:} e=0
  [ "$v" = "$3" ] || e=${3%%:*}
  mkdir -p "$SPECS/$1"
  {
    printf '%s\n' "Name: $2" "Epoch: $e" "Version: ${v%-*}" "Release: ${v##*-}" "Summary: $2 of the kflow lab" 'License: none' 'BuildArch: x86_64' 'AutoReqProv: no'
    printf '%b\n' "${4:-}" '%description' "$2 of the kflow lab"
    cat
  } >"$SPECS/$1/$2-$v.spec"
}
plain() { spec "$1" "$2" "$3" "${4:-}" <<<'%files'; } # without any file
programs() { # REPO NAME VERSION HEADER PROGRAM..: scripts that say their version
  local repo=$1 name=$2 version=$3 header=$4 p v=${3#*:}
  shift 4
  {
    printf '%%install\nmkdir -p %%{buildroot}/usr/bin\n'
    for p; do printf 'printf "#!/bin/sh\\necho %s version %s\\n" >%%{buildroot}/usr/bin/%s\n' "$p" "${v%-*}" "$p"; done
    printf '%%files\n'
    for p; do printf '%%attr(755,root,root) /usr/bin/%s\n' "$p"; done
  } | spec "$repo" "$name" "$version" "$header"
}
daemon() { # REPO NAME VERSION HEADER PROGRAM UNIT [CONFIGURATION TEXT]: a program that sleeps, and its unit, not enabled
  {
    printf '%%install\nmkdir -p %%{buildroot}/usr/lib/systemd/system %%{buildroot}%s\n' "${5%/*}"
    printf 'printf "#!/bin/sh\\nexec sleep infinity\\n" >%%{buildroot}%s\n' "$5"
    printf 'printf "[Unit]\\nDescription=%s\\n[Service]\\nExecStart=%s\\n[Install]\\nWantedBy=multi-user.target\\n" >%%{buildroot}/usr/lib/systemd/system/%s.service\n' "$6" "$5" "$6"
    [ -z "${7:-}" ] || printf 'mkdir -p %%{buildroot}%s; printf "%s\\n" >%%{buildroot}%s\n' "${7%/*}" "$8" "$7"
    # shellcheck disable=SC2016
    printf '%%post -p <lua>\nif posix.access("/run/systemd/system") then os.execute("systemctl daemon-reload") end\n'
    printf '%%files\n%%attr(755,root,root) %s\n/usr/lib/systemd/system/%s.service\n' "$5" "$6"
    [ -z "${7:-}" ] || printf '%%config(noreplace) %s\n' "$7"
  } | spec "$1" "$2" "$3" "$4"
}

specs() {
  local v
  plain rocky9 rocky-release 9.4-1.el9 'Provides: system-release = 9.4\nProvides: system-release(releasever) = 9\nProvides: /bin/sh'
  programs rocky9 jq 1.0-1.el9 '' jq
  programs rocky9 socat 1.0-1.el9 '' socat
  programs rocky9 conntrack-tools 1.4.6-1.el9 'Provides: conntrack = 1.0-1' conntrack
  programs rocky9 ipvsadm 1.31-1.el9 '' ipvsadm
  programs rocky9 ipset 1.31-1.el9 '' ipset
  plain rocky9 runc 1.1.12-1.el9
  daemon rocky9 chrony 4.3-1.el9 '' /usr/sbin/chronyd chronyd /etc/chrony.conf 'pool pool.ntp.org iburst'
  versionlock
  for v in {0..20}; do
    programs kubernetes kubeadm "1.29.$v-150500.1.1" 'Requires: kubelet >= 1.19.0\nRequires: cri-tools >= 1.28.0' kubeadm
    programs kubernetes kubectl "1.29.$v-150500.1.1" '' kubectl
    daemon kubernetes kubelet "1.29.$v-150500.1.1" 'Requires: kubernetes-cni >= 1.2.0\nRequires: conntrack\nRequires: socat' /usr/bin/kubelet kubelet
  done
  programs kubernetes cri-tools 1.29.0-1.el9 '' crictl
  plain kubernetes kubernetes-cni 1.3.0-1.el9
  for v in 20.10.24 24.0.9 26.1.4; do
    programs docker docker-ce-cli "1:$v-1.el9" '' docker
    daemon docker docker-ce "3:$v-1.el9" 'Requires: containerd.io\nRequires: docker-ce-cli' /usr/bin/dockerd docker
  done
  daemon docker containerd.io 1.6.33-1.el9 'Conflicts: containerd\nConflicts: runc' /usr/bin/containerd containerd
  plain broken needs-nobody 1.0-1.el9 'Requires: nobody-has-this >= 2'
  spec broken post-fails 1.0-1.el9 <<<$'%post\nexit 3\n%files'
  spec broken pre-fails 1.0-1.el9 <<<$'%pre\nexit 3\n%files'
  spec broken slow 1.0-1.el9 <<<$'%pre\nuntil [ -e /run/go-on ]; do sleep 0.2; done\n%files'
  programs unsigned not-signed 1.0-1.el9 '' not-signed
}
versionlock() { # the plugin as Rocky packages it: no lab host of this family has it at first
  local d=$SPECS/../versionlock
  mkdir -p "$d"
  mv "$ROOT"/etc/dnf/plugins/versionlock.{conf,list} "$ROOT"/usr/lib/python3/dist-packages/dnf-plugins/versionlock.py "$d"
  spec rocky9 python3-dnf-plugin-versionlock 4.3.0-1.el9 <<'S'
%install
install -D -m 644 -t %{buildroot}/etc/dnf/plugins /build/versionlock/versionlock.conf /build/versionlock/versionlock.list
install -D -m 644 -t %{buildroot}/usr/lib/python3/dist-packages/dnf-plugins /build/versionlock/versionlock.py
%files
%config(noreplace) /etc/dnf/plugins/versionlock.conf
%config(noreplace) /etc/dnf/plugins/versionlock.list
/usr/lib/python3/dist-packages/dnf-plugins/versionlock.py
S
}

build() {
  local f
  # shellcheck disable=SC2016
  mkdir -p "$ROOT/build/out"
  # One after the other, and once more what fails: with two at once a build has failed, and nobody knows why.
  chroot "$ROOT" sh -c 'cd /build && ls specs/*/*.spec | xargs -n 16 sh -c '\''for s; do
      one() { rpmbuild -bb --quiet --define "_rpmdir /build/out/$(basename "$(dirname "$s")")" --define "_build_id_links none" --define "debug_package %{nil}" \
        --define "_topdir /build/top/$$" --define "_tmppath /build/top/$$" --define "_binary_payload w1.gzdio" "$s"; }
      one || { echo "$s: once more" && one; } || exit 255
    done'\'' sh' >>"$R/log" 2>&1 || die "a package could not be built: $(tail -n 5 "$R/log")"
  for f in "$ROOT"/build/out/*; do
    mkdir -p "$RPMS/${f##*/}"
    mv "$f"/*/*.rpm "$RPMS/${f##*/}"
  done
  mv "$RPMS" "$ROOT/build/repos"
  chroot "$ROOT" sh -c 'cd /build/repos
    for r in */; do
      r=${r%/}
      case $r in unsigned) key= ;; kubernetes | docker) key=$r ;; *) key=lab ;; esac
      [ -z "$key" ] || rpmsign --define "__gpg /usr/bin/gpg" --define "_gpg_name $key@kflow.test" --addsign "$r"/*.rpm || exit 1
      createrepo_c -q "$r" || exit 1
      [ -z "$key" ] || cp "$key.asc" "$r/repodata/repomd.xml.key" # where the repositories of Kubernetes have it
    done' >>"$R/log" 2>&1
  mv "$ROOT/build/repos" "$RPMS"
}

looks_like_rocky() {
  local p
  for p in local leaves show_leaves post-transaction-actions migrate; do # packages of their own there
    rm -f "$ROOT/etc/dnf/plugins/$p.conf" "$ROOT/usr/lib/python3/dist-packages/dnf-plugins/$p.py"
  done
  mkdir -p "$ROOT"/etc/{rpm,yum.repos.d} "$ROOT/var/lib/rpm"
  echo '%_dbpath /var/lib/rpm' >"$ROOT/etc/rpm/macros"
  printf '[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n' >"$ROOT/etc/dnf/dnf.conf"
  rm -f "$ROOT/etc/os-release"
  printf '%s\n' 'NAME="Rocky Linux"' 'VERSION="9.4 (Blue Onyx)"' 'ID="rocky"' 'ID_LIKE="rhel centos fedora"' 'VERSION_ID="9.4"' 'PLATFORM_ID="platform:el9"' \
    'PRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"' >"$ROOT/etc/os-release"
  chroot "$ROOT" sh -c 'rpm --import /dev/stdin && rpm -i --justdb /build/release.rpm' <"$RPMS/lab.asc"
}

undo_gpg() { [ ! -e "$ROOT/root/.gnupg" ] || chroot "$ROOT" gpgconf --kill gpg-agent || true; } # it would go on running
undo() { # what this script has mounted
  local m
  undo_gpg
  for m in "$ROOT/proc" "$ROOT/dev" "$ROOT"; do ! mountpoint -q "$m" || umount "$m" || umount -l "$m"; done
}

need_root
t0=$(ms)
[ -e "$BASE/.lab-ok" ] || die "lab.sh base comes first"
stamp=$(cat "$HERE/rpms.sh" "$BASE/.lab-ok" | cksum)
[ "$(cat "$R/ok" 2>/dev/null)" != "$stamp" ] || { say "rpm hosts and packages exist"; exit 0; }
undo
rm -rf --one-file-system "$R" "$RPMS"
mkdir -p "$RPMS"
trap undo EXIT
tree
key lab
key kubernetes
key docker
specs
build
cp "$RPMS"/rocky9/rocky-release-*.rpm "$ROOT/build/release.rpm"
looks_like_rocky
undo_gpg
rm -rf --one-file-system "$ROOT/build" "$ROOT/root/.gnupg"
undo
rm -rf "$R"/{work,root,cache}
echo "$stamp" >"$R/ok"
say "rpm hosts in $((($(ms) - t0) / 1000)) s: $(find "$RPMS" -name '*.rpm' | wc -l) packages, $(du -sm "$R" | cut -f1) MB"
