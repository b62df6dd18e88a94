package fidelity

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/tasks"
)

// hostName is the host of the lab that is taken; its simulated double has the same name and address.
const hostName, lastPart = "k8s-mn01", ".11"

// outer is the network namespace the test was started in, where lab.sh works.
const outer = "KFLOW_OUTER_NET"

// TestMain starts this program once more on the network of the lab: from there its hosts are reached as from anywhere.
func TestMain(m *testing.M) {
	if os.Getenv("KFLOW_LAB") != "" && os.Getenv(outer) == "" {
		nsenter, err := exec.LookPath("nsenter")
		if err == nil {
			argv := append([]string{nsenter, "--net=/run/netns/" + env("LAB_NS", "kflab"), "--"}, os.Args...)
			err = syscall.Exec(nsenter, argv, append(os.Environ(), fmt.Sprintf("%s=/proc/%d/ns/net", outer, os.Getppid())))
		}
		fmt.Fprintln(os.Stderr, "the network of the lab:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// lab is the real side.
type lab struct {
	script, ns, net, run string
	dir                  string // playbooks, and the home of kflow
}

func needLab(t *testing.T) *lab {
	t.Helper()
	if os.Getenv("KFLOW_LAB") == "" {
		t.Skip("NOT TESTED: KFLOW_LAB is not set. This test needs root and a lab of real hosts: run test/e2e/run.sh")
	}
	script, err := filepath.Abs("../lab/lab.sh")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{script: script, ns: env("LAB_NS", "kflab"), net: env("LAB_NET", "10.99.0"), run: filepath.Join(env("LAB_DIR", filepath.Join(cache, "kflow-lab")), "run")}
	if l.ns != "kflab" {
		l.run += "-" + l.ns
	}
	return l
}

// sh runs a command of lab.sh.
func (l *lab) sh(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, errors.New("lab.sh took more than 3 minutes"))
	defer cancel()
	c := l.command(ctx, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("lab.sh %s: %v: %s\n%s", strings.Join(args, " "), err, errs.String(), out.String())
	}
	return out.String()
}

func (l *lab) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + os.Getenv(outer), "--", l.script}, args...)...)
	c.Env = append(os.Environ(), "LAB_NS="+l.ns, "LAB_NET="+l.net, "LAB_DIR="+filepath.Dir(l.run))
	return c
}

// prepare makes a bare host of a family. It finds the server of the test, and is a bare one again afterwards.
func (l *lab) prepare(t *testing.T, f family) {
	t.Helper()
	l.sh(t, append([]string{"wipe", hostName}, f.wipe...)...)
	l.sh(t, "ssh", hostName, fmt.Sprintf("set -e; sed -i /^127.0.1.1/d /etc/hosts; echo %[1]s%[3]s %[4]s >> /etc/hosts; echo %[1]s.1 %[2]s >> /etc/hosts; echo localhost > /etc/hostname; hostname localhost; %[5]s",
		l.net, domain, lastPart, hostName, f.onLab))
	t.Cleanup(func() { _ = l.command(context.Background(), "wipe", hostName).Run() }) // whoever needs it wipes it again
}

// inventory is that of both sides.
func (l *lab) inventory() string {
	return fmt.Sprintf("kflow: v1\ndefaults:\n  ssh:\n    user: root\n    key: %s\n    known_hosts: %s\nhosts:\n  %s:\n    address: %s\n    groups: [control_plane]\n",
		filepath.Join(filepath.Dir(l.run), "id_ed25519"), filepath.Join(l.run, "known_hosts"), hostName, l.net+lastPart)
}

func (l *lab) folder() string { return l.dir }

func (l *lab) open(t *testing.T, playbook string) *engine.Project {
	t.Helper()
	p, found := engine.Open(t.Context(), engine.Config{Playbook: playbook, Inventory: filepath.Join(l.dir, "inventory.yaml"), Kinds: tasks.All(),
		Environ: []string{}, Parallel: 1, State: t.TempDir()}) // durations of earlier runs would be another reason for an order
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (l *lab) plan(t *testing.T, playbook string) []engine.Planned {
	t.Helper()
	list, err := l.open(t, playbook).Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (l *lab) carryOut(t *testing.T, playbook string, sink event.Sink) {
	t.Helper()
	err := l.open(t, playbook).Run(t.Context(), sink, nil)
	var exit *engine.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Err != nil) {
		t.Fatal(err)
	}
}

// quote makes one word for the shell of the host.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// look asks for paths and commands in one session.
func (l *lab) look(t *testing.T, paths []string, asks [][]string) state {
	t.Helper()
	var sh strings.Builder
	for _, path := range paths {
		fmt.Fprintf(&sh, `find %s \( -type f -o -type d -o -type l \) -printf 'path\t%%p\t%%y\t%%m\t%%u:%%g\t%%l\n' 2>/dev/null`+"\n", quote(path))
		fmt.Fprintf(&sh, `find %s -type f -exec sh -c 'for f; do printf "text\t%%s\t" "$f"; base64 -w0 < "$f"; echo; done' sh {} + 2>/dev/null`+"\n", quote(path))
	}
	for i, argv := range asks {
		words := make([]string, len(argv))
		for j, word := range argv {
			words[j] = quote(word)
		}
		fmt.Fprintf(&sh, "out=$(LC_ALL=C.UTF-8 %s 2>&1); code=$?; printf 'ask\\t%d\\t%%s\\t' $code; printf '%%s' \"$out\" | base64 -w0; echo\n", strings.Join(words, " "), i)
	}
	sh.WriteString("true\n") // that something is not there is no error
	s := state{}
	for line := range strings.Lines(l.sh(t, "ssh", hostName, sh.String())) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch f[0] {
		case "path":
			s[f[1]] = entry{kind: f[2], mode: f[3], owner: f[4], target: f[5]}
		case "text":
			e := s[f[1]]
			e.text = decode(t, f[2])
			s[f[1]] = e
		case "ask":
			i, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			s["$ "+strings.Join(asks[i], " ")] = entry{kind: "exit code " + f[2], text: strings.TrimRight(decode(t, f[3]), "\n")}
		}
	}
	return s
}

func decode(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
