package ssh

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/agent/binaries"
)

// script makes the command that starts the agent: one line for /bin/sh that finds the agent for the machine under its
// hash, checks it, and becomes it; where it is missing the line asks for it by a marker (wire.Marker) and reads it from
// standard input first.
//
// The line goes through the user's login shell, whichever that is, in single quotes: so it contains no single quote, no
// backslash, no exclamation mark and no line end, which POSIX shells, csh and fish treat differently. All that is put
// into it is made of letters, digits and -_./: (see safe).
//
// The directory belongs to the user the agent runs as and can be written by nobody else; with become the whole line runs
// as root, so that an agent that root will run is never in a place another user can write to. A directory on a file system
// mounted noexec is passed over.
type script struct {
	nonce     string
	agents    map[string]binaries.Binary // by uname -m
	dirs      []string                   // candidates, in order; shell text
	addresses []string
	session   string
	claim     string // wire.Word of a Claim
}

func (s script) String() string {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+" ", args...) }
	w(`umask 077; n=%s; m() { echo "@kflow:$n $*"; };`, s.nonce)
	w(`k=$(uname -m); case $k in`)
	for _, machine := range slices.Sorted(maps.Keys(s.agents)) {
		bin := s.agents[machine]
		w(`%s) h=%s; s=%d;;`, machine, bin.SHA256, len(bin.Data))
	}
	w(`*) m arch $k; exit 3;; esac;`)
	w(`ok() { x=$(sha256sum < "$1") && [ "${x%%%% *}" = "$h" ]; };`)
	w(`go() { exec "$f" --nonce "$n" --sha256 "$h" --dir "$d"%s; };`, s.args())
	dirs := strings.Join(s.dirs, " ")
	// The usual case: it is there.
	w(`for d in %s; do f=$d/agent-$h; [ -L "$d" ] && continue; [ -O "$d" ] && [ -x "$f" ] && ok "$f" && go; done;`, dirs)
	// It is not: find a place, ask for it, check it.
	w(`for c in head gzip sha256sum mkdir chmod mv rm; do command -v $c > /dev/null || { m missing $c; exit 4; }; done;`)
	w(`t=; clean() { [ -z "$t" ] || rm -f "$t"; }; trap clean EXIT;`)
	// (A directory of ours that is no link stays one where nobody else may rename it: so links are looked for behind mkdir.)
	w(`for d in %s; do mkdir -p -m 700 "$d" || continue; [ -L "$d" ] && continue; [ -O "$d" ] && chmod 700 "$d" || continue;`, dirs)
	w(`t=$d/.new-$$; echo "exit 0" > "$t" && chmod 700 "$t" && [ -x "$t" ] && "$t" || { rm -f "$t"; continue; };`)
	// What nobody needs any more: agents of old versions, and what a machine that died while it got one has left.
	w(`find "$d" "(" -name "agent-*" -mtime +90 -o -name ".new-*" -mtime +1 ")" -exec rm -f {} + 2> /dev/null;`)
	w(`m need $k; head -c $s | gzip -dc > "$t" && ok "$t" || { rm -f "$t"; m damaged; exit 4; };`)
	w(`f=$d/agent-$h; mv -f "$t" "$f" && go; exit 4; done; m nodir; exit 4`)
	return strings.TrimSpace(b.String())
}

// args are the arguments of the agent besides those the shell knows.
func (s script) args() string {
	var b strings.Builder
	if safe(s.session) {
		b.WriteString(" --session " + s.session)
	}
	if safe(s.claim) {
		b.WriteString(" --claim " + s.claim)
	}
	for _, a := range s.addresses {
		if safe(a) {
			b.WriteString(" --address " + a)
		}
	}
	return b.String()
}

// safe tells whether a text means itself in every shell.
func safe(text string) bool {
	for _, c := range []byte(text) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_./:", c) >= 0) {
			return false
		}
	}
	return text != ""
}

// rootDirs and userDirs are where the agent is kept, the first that can be used.
func rootDirs() []string { return []string{"/var/lib/kflow", "/root/.cache/kflow", "/opt/kflow"} }

func userDirs(user string) []string {
	dirs := []string{`"${XDG_CACHE_HOME:-$HOME/.cache}/kflow"`}
	if safe(user) {
		for _, tmp := range []string{"/var/tmp", "/tmp"} {
			dirs = append(dirs, path.Join(tmp, "kflow-"+user))
		}
	}
	return dirs
}

// machines are the names uname -m has for the architectures of agents.
func machines() map[string]string { return map[string]string{"x86_64": "amd64", "aarch64": "arm64"} }

// command is what the session executes.
func (s script) command(su *sudo) string {
	if su == nil {
		return "exec /bin/sh -c '" + s.String() + "'"
	}
	return "exec " + su.prefix() + " /bin/sh -c '" + s.String() + "'"
}
