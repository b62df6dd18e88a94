package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain is also the proxy: this program, started once more on the lab's network.
func TestMain(m *testing.M) {
	if to := os.Getenv("BENCH_PROXY_TO"); to != "" {
		proxy(to)
		return
	}
	os.Exit(m.Run())
}

// behind puts a host of the lab behind a proxy that delays what goes through it, and returns an inventory that reaches
// it there, with the time a byte really takes there and back.
func (l *lab) behind(b *testing.B, host string, delay time.Duration) (inventory string, trip time.Duration) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := exec.Command("nsenter", "--net=/run/netns/"+l.ns, "--", self)
	c.Env = []string{"BENCH_PROXY_TO=" + l.address(host) + ":22", "BENCH_PROXY_LISTEN=" + l.net + ".1:0", "BENCH_PROXY_DELAY=" + delay.String()}
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe() // its end ends the proxy
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = c.Wait() // nothing depends on how it ends
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatalf("the proxy does not listen: %v", err)
	}
	address, measured, _ := strings.Cut(strings.TrimSpace(line), " ")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		b.Fatal(err)
	}
	if trip, err = time.ParseDuration(measured); err != nil {
		b.Fatal(err)
	}
	text := fmt.Sprintf("kflow: v1\nhosts:\n  %s:\n    address: %s.1\n    node_ip: %s\n    ssh:\n      user: root\n      port: %s\n      key: %s\n      host_key: %s\n",
		host, l.net, l.address(host), port, filepath.Join(filepath.Dir(l.run), "id_ed25519"), l.hostKey(b, host))
	file := filepath.Join(b.TempDir(), "inventory.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return file, trip
}

func (l *lab) address(host string) string { return l.net + "." + hosts[host] }

// hostKey is the public key of a host, from the lab's known_hosts.
func (l *lab) hostKey(b *testing.B, host string) string {
	b.Helper()
	known, err := os.ReadFile(filepath.Join(l.run, "known_hosts"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(known)) {
		names, key, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && strings.Contains(","+names+",", ","+l.address(host)+",") {
			return key
		}
	}
	b.Fatalf("known_hosts does not have %s", host)
	return ""
}

// proxy forwards connections until its standard input ends.
func proxy(to string) {
	delay, err := time.ParseDuration(os.Getenv("BENCH_PROXY_DELAY"))
	if err != nil {
		fatal(err)
	}
	listener, err := net.Listen("tcp", os.Getenv("BENCH_PROXY_LISTEN"))
	if err != nil {
		fatal(err)
	}
	trip, err := roundTrip(delay)
	if err != nil {
		fatal(err)
	}
	fmt.Println(listener.Addr(), trip)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				fatal(err)
			}
			go forward(c, to, delay)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin) // returns when whoever started it is gone
}

// roundTrip is the median time of a byte there and back over two hops of a proxy with that delay: the same code, the same
// machine, the same load.
func roundTrip(delay time.Duration) (time.Duration, error) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer echo.Close()
	between, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer between.Close()
	go func() {
		if c, err := echo.Accept(); err == nil {
			_, _ = io.Copy(c, c) // until the client is done
		}
	}()
	go func() {
		if c, err := between.Accept(); err == nil {
			forward(c, echo.Addr().String(), delay)
		}
	}()
	c, err := net.Dial("tcp", between.Addr().String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var trips []time.Duration
	for range 51 {
		start := time.Now()
		if _, err := c.Write([]byte{1}); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return 0, err
		}
		trips = append(trips, time.Since(start))
	}
	return median(trips), nil
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "proxy:", err)
	os.Exit(1)
}

func forward(c net.Conn, to string, delay time.Duration) {
	defer c.Close()
	d, err := net.Dial("tcp", to)
	if err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		return
	}
	defer d.Close()
	go late(d, c, delay)
	late(c, d, delay)
}

// late copies with a delay that does not limit how much is under way.
func late(to io.WriteCloser, from io.Reader, delay time.Duration) {
	type chunk struct {
		due  time.Time
		data []byte
	}
	chunks := make(chan chunk, 1024)
	go func() {
		defer close(chunks)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				chunks <- chunk{time.Now().Add(delay), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		if wait := time.Until(c.due); wait > 0 {
			<-time.After(wait)
		}
		if _, err := to.Write(c.data); err != nil {
			break
		}
	}
	_ = to.Close() // the other side is gone
	for range chunks {
	}
}
