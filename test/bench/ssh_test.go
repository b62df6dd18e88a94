package bench

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/tasks"
)

// TestManyHosts carries twenty tasks out on hosts behind real SSH: one connection each, never more dials at once than the
// limit, every instance ended, nothing left over, and nothing to do a second time.
func TestManyHosts(t *testing.T) {
	manyHosts(t, manyHostsSize)
}

// BenchmarkSSHHosts does the same with five hundred hosts and shows what it takes, SSH servers and simulated hosts included:
// they are in the same process.
func BenchmarkSSHHosts(b *testing.B) {
	for b.Loop() {
		first, second := manyHosts(b, 500)
		report(b, "µs/instance", first.perInstance(), "µs/instance-converged", second.perInstance(), "kB/host", first.perHost()/1e3,
			"connections", float64(first.connections), "most-dials", float64(first.most), "instances", float64(first.instances))
	}
}

// maxDials is how many hosts may be dialled at once, see engine/transport/ssh.
const maxDials = 64

// heapLimit is what a connected host may hold of the heap, both ends together, in bytes. A copy of the agent is more.
const heapLimit = 1_500_000

// session is what one run showed.
type session struct {
	counts
	hosts, instances int
	status           map[event.Status]int
	twice            []string
	said             strings.Builder // failures
	exit             int
	took             time.Duration
	heap, heapBefore uint64 // live, with all hosts connected and before
}

func (s *session) perInstance() float64 { return float64(s.took.Microseconds()) / float64(s.instances) }
func (s *session) perHost() float64 {
	return (float64(s.heap) - float64(s.heapBefore)) / float64(s.hosts)
}

func manyHosts(tb testing.TB, n int) (first, second *session) {
	tb.Helper()
	quiet := networked(tb)
	f := newFarm(tb, n)
	data := strings.Repeat("0123456789abcdef", 8<<10)
	playbook, err := os.ReadFile("ssh.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	f.write(tb, "ssh.yaml", string(playbook))
	f.write(tb, "data", data)
	tb.Setenv("HOME", f.dir)
	tb.Setenv("SSH_AUTH_SOCK", "")
	const perHost = 20
	before := takeStock(tb)

	first = f.run(tb)
	first.check(tb, n, perHost, event.Changed, "runs")
	if want := (n + 49) / 50; first.uploads != want {
		tb.Errorf("the agent was sent to %d hosts, %d did not have it", first.uploads, want)
	}
	if most := min(n, maxDials); first.most != most {
		tb.Errorf("%d dials were in flight at once, seen by the servers; the limit is %d", first.most, most)
	}
	for _, h := range f.hosts {
		if h.Text("/etc/hostname") != h.name+"\n" || h.Text("/usr/local/bin/data") != data || h.Swap() {
			tb.Fatalf("%s is not as declared: %q, %d bytes of data", h.name, h.Text("/etc/hostname"), len(h.Text("/usr/local/bin/data")))
		}
	}
	before.same(tb, "the first run")

	second = f.run(tb)
	second.check(tb, n, perHost, event.OK)
	if second.uploads != 0 {
		tb.Errorf("the second run sent the agent to %d hosts", second.uploads)
	}
	before.same(tb, "the second run")
	f.close(tb)
	quiet.same(tb, "the servers")
	tb.Logf("%d hosts, %d instances: first run %.1f s (%.0f µs an instance), second %.1f s (%.0f µs); %d connections, at most %d dials at once, %d agents sent; %.0f kB of heap for each connected host, both ends",
		n, first.instances, first.took.Seconds(), first.perInstance(), second.took.Seconds(), second.perInstance(), first.connections, first.most,
		first.uploads, first.perHost()/1e3)
	return first, second
}

// run carries the playbook out as `kflow run` does.
func (f *farm) run(tb testing.TB) *session {
	tb.Helper()
	s := &session{hosts: len(f.hosts), status: map[event.Status]int{}, heapBefore: heap()}
	p, found := engine.Open(tb.Context(), engine.Config{Playbook: f.path("ssh.yaml"), Inventory: f.path("inventory.yaml"), Kinds: tasks.All(),
		Environ: []string{}, State: f.path("state")})
	if err := found.Err(); err != nil {
		tb.Fatal(err)
	}
	seen := map[string]bool{}
	began := time.Now()
	err := p.Run(tb.Context(), event.SinkFunc(func(e event.Event) {
		switch e.Type {
		case event.InstanceEnded:
			if s.instances++; seen[e.Instance] {
				s.twice = append(s.twice, e.Instance)
			}
			seen[e.Instance] = true
			s.status[e.Status]++
		case event.RunEnded:
			s.took, s.exit = time.Since(began), e.Exit
			s.heap = heap()
		}
		if e.Failure != nil && s.said.Len() < 4000 {
			fmt.Fprintf(&s.said, "%s%s: %s %s\n", e.Host, e.Instance, e.Failure.Summary, e.Failure.Hint)
		}
	}), nil)
	if err != nil {
		tb.Fatalf("%v after %v: %v\n%s", err, s.took, s.status, s.said.String())
	}
	s.counts = f.reset()
	return s
}

// check holds a run against what is promised. Tasks that only look are always ok.
func (s *session) check(tb testing.TB, hosts, perHost int, want event.Status, look ...string) {
	tb.Helper()
	if s.instances != hosts*perHost || len(s.twice) > 0 {
		tb.Errorf("%d instances ended, there are %d; twice: %v", s.instances, hosts*perHost, s.twice)
	}
	expect := map[event.Status]int{want: hosts * (perHost - len(look))}
	expect[event.OK] += hosts * len(look)
	for _, status := range []event.Status{event.OK, event.Changed} {
		if s.status[status] != expect[status] {
			tb.Errorf("%d instances were %s, want %d: %v", s.status[status], status, expect[status], s.status)
		}
	}
	if s.connections != hosts || s.logins != hosts || s.sessions != hosts || s.agents != hosts {
		tb.Errorf("%d hosts: %d connections, %d logins, %d sessions, %d agents; want one of each for a host", hosts, s.connections, s.logins, s.sessions, s.agents)
	}
	if s.most > maxDials {
		tb.Errorf("%d dials were in flight at once, %d are allowed", s.most, maxDials)
	}
	if s.perHost() > heapLimit {
		tb.Errorf("a connected host takes %.0f kB of heap, %d kB are allowed", s.perHost()/1e3, heapLimit/1000)
	}
}

// heap is what is in use, after what is not has been collected.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// stock is what a leak would add to.
type stock struct{ goroutines, files int }

// networked is the stock of a process that has used the network: Go keeps two files for that from then on.
func networked(tb testing.TB) stock {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	return takeStock(tb)
}

func takeStock(tb testing.TB) stock {
	tb.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return stock{runtime.NumGoroutine(), len(open)}
}

// same waits until there is no more than before: what has been told to end may need a moment.
func (before stock) same(tb testing.TB, after string) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(20 * time.Second)
	defer patience.Stop()
	for {
		now := takeStock(tb)
		if now == before {
			return
		}
		select {
		case <-tick.C:
		case <-patience.C:
			stacks := make([]byte, 1<<16)
			stacks = stacks[:runtime.Stack(stacks, true)]
			tb.Fatalf("%s has left something behind: %d goroutines and %d open files before, %d and %d now\n%s", after, before.goroutines, before.files,
				now.goroutines, now.files, stacks)
		}
	}
}
