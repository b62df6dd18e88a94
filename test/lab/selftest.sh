#!/bin/bash
# Tests the lab itself, in a lab of its own beside a running one (other namespace and addresses): every command, timed.
# usage: selftest.sh        needs lab.sh all; takes about a minute
# shellcheck disable=SC2016,SC2317
export LAB_NS=${LAB_NS_TEST:-kflabtest} LAB_NET=${LAB_NET_TEST:-10.98.0}
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
LOG=$(mktemp)
FAILED=0
lab() { "$HERE/lab.sh" "$@" </dev/null; }
on() { lab ssh "$@"; }
t() { # TITLE COMMAND..: must succeed
  local title=$1 t0 r=ok
  shift
  t0=$(ms)
  "$@" >"$LOG" 2>&1 || { r=FAILED; FAILED=1; }
  printf '%-6s %7d ms  %s\n' $r $(($(ms) - t0)) "$title"
  [ $r = ok ] || sed 's/^/         /' "$LOG"
}
not() { ! "$@"; }
refused() { not timeout 3 "$HERE/lab.sh" ssh "$1" true </dev/null; }
back() { local i; for ((i = 0; i < 300; i++)); do if on "$1" true; then return; else sleep 0.1; fi; done; return 1; }
state() { # what a host knows of its boot
  on "$1" 'cat /proc/sys/kernel/random/boot_id; ls /root; sysctl -n vm.swappiness net.ipv4.ip_forward; ip -br addr show eth0'
}

logins() {
  local h u
  while read -r h _ <&3; do
    for u in root ops opspw; do [ "$(LAB_USER=$u on "$h" 'echo $(id -un) $(hostname) $(ps -o comm= -p 1)')" = "$u $h systemd" ] || return 1; done
  done 3<"$RUN/hosts"
}
sudos() {
  [ "$(LAB_USER=ops on 1 sudo -n id -u)" = 0 ] && not env LAB_USER=opspw "$HERE/lab.sh" ssh 1 sudo -n true </dev/null &&
    [ "$(LAB_USER=opspw on 1 'echo kflow-lab | sudo -S -p "" id -u')" = 0 ]
}
healthy() { [ "$(on 1 systemctl is-system-running --wait)" = running ]; }
reboot_host() { # files stay; boot id, sysctl values and addresses are new
  local before after
  on 2 "touch /root/kept; sysctl -q -w vm.swappiness=7 net.ipv4.ip_forward=1; ip addr add $VIP/32 dev eth0"
  before=$(state 2)
  on 2 systemctl reboot || true
  for ((i = 0; i < 100; i++)); do after=$(state 2 || true); [ -z "$after" ] || [ "${after%%$'\n'*}" = "${before%%$'\n'*}" ] || break; sleep 0.1; done
  echo "$before"; echo "$after"
  [[ $before == *kept*7*1*$VIP* ]] && [[ $after == *kept*60*0* ]] && [[ $after != *$VIP* ]]
}
poweroff_host() { on 2 systemctl poweroff || true; for ((i = 0; i < 100; i++)); do if lab status | grep "^k8s-mn02 .*power=off"; then return; fi; sleep 0.1; done; return 1; }
power_cut() { on 2 'echo kept >/root/kept' && lab stop 2 && lab status | grep "^k8s-mn02 .*power=off" && refused 2; }
kept() { [ "$(on 2 cat /root/kept)" = kept ]; }
cut_survives() { lab cut 2 && refused 2 && lab stop 2 && lab start 2 && refused 2 && lab heal 2 && back 2; }
key_changed() { lab newkey 3 && (on 3 true 2>&1 || true) | grep 'HOST IDENTIFICATION HAS CHANGED'; }
full() {
  on 3 'for p in /etc /var/lib /usr/local/bin /root /home/ops /tmp /var/lib/containerd; do ! echo x 2>&1 >$p/lab-test || exit 1; done; echo x >/run/lab-test' &&
    LAB_USER=ops on 3 sudo -n true && on 3 'df --output=avail / | grep -qx " *0"'
}
free() { on 3 'rm -f /etc/lab-test; echo x >/etc/lab-test && [ "$(cat /etc/lab-test)" = x ]'; }
wiped() { on 2 '[ ! -e /root/kept ]'; }
install() { on 1 'set -e; apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends kubeadm=1.20.2-00 kubelet=1.20.2-00; kubeadm version -o short' | grep -x v1.20.2; }
files() {
  on 2 "set -e; cd /var/tmp; for f in containerd-1.6.20-linux-amd64.tar.gz runc.amd64 cni-plugins-linux-amd64-v1.1.1.tgz images/pause.tar images/kube-proxy.tar; do
    curl -fsSO $FILES_URL/\$f; curl -fsS $FILES_URL/\$f.sha256 | sha256sum -c --quiet; done; tar -tzf containerd-1.6.20-linux-amd64.tar.gz | grep -x bin/containerd"
}
inventoried() {
  grep -x "  k8s-mn03: {address: $NET.33, groups: \[control_plane\]}" "$RUN/inventory.yaml" && grep -x "  k8s-wn02: {address: $NET.200, groups: \[workers\]}" "$RUN/inventory.yaml"
}
rocky() { # of the RPM family
  lab wipe 2 rocky && on 2 ". /etc/os-release; [ \$ID = rocky ] && printf '[r]\nname=r\nbaseurl=$FILES_URL/rpm/rocky9\n' >/etc/yum.repos.d/r.repo && dnf -yq install jq && rpm -q jq"
}
none_left() { not grep -E "$LAB_NS|$RUN" /proc/mounts && not ip netns pids "$LAB_NS" && [ ! -e "$RUN" ] && not grep -r "$RUN/" /sys/block/*/loop/backing_file; }

need_root
trap '"$HERE/lab.sh" down || true; rm -f "$LOG"' EXIT
t "check" lab check
t "all, cached" lab all
t "up 5" lab up 5
t "status" lab status
t "root, ops, opspw on 5 hosts (15 logins)" logins
t "sudo with and without password" sudos
t "inventory" inventoried
t "no failed unit" healthy
t "exec on the lab's network: file server" lab exec curl -fsS -o /dev/null "$FILES_URL/runc.amd64.sha256"
t "downloads with sums" files
t "apt-get update, install kubeadm=1.20.2-00 on a bare host" install
t "reboot until the new boot answers: files kept, the rest new" reboot_host
t "poweroff" poweroff_host
t "start" lab start 2
t "stop: refused" power_cut
t "start" lab start 2
t "its files are there" kept
t "cut" lab cut 3
t "refused" refused 3
t "heal" lab heal 3
t "answers" back 3
t "cut stays through stop and start" cut_survives
t "newkey: client refuses" key_changed
t "trust" lab trust 3
t "answers" back 3
t "fill" lab fill 3
t "nothing can be written, logins and sudo work" full
t "unfill" lab unfill 3
t "can be written" free
t "wipe" lab wipe 2
t "files are gone, old host key is good" wiped
t "wipe rocky: dnf installs a signed package" rocky
t "console without ssh" lab console 1 sh -c 'systemctl stop ssh && systemctl start ssh'
t "down" lab down
t "nothing is left" none_left
exit $FAILED
