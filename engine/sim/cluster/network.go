// Package cluster is what simulated hosts are to each other: a network with addresses, a virtual address that keepalived
// moves, haproxy before API servers, and Kubernetes as kubeadm and kubectl show it.
//
// # Nothing runs in the background
//
// What happens by itself on real machines (an image is pulled, a pod gets ready, a node turns Ready, an address moves) is
// worked out when somebody asks: from the time something was declared and how long such a thing takes. So a cluster of
// five thousand nodes costs nothing while nobody looks.
//
// # Rules
//
// Kept are the rules on which procedures break: the checks before kubeadm init and join, tokens and certificate keys
// that end by the clock of the API server, members of etcd with one learner at a time and a quorum, nodes that are not
// ready before a CNI is there, an address that one keepalived holds, an API behind haproxy that is gone when no API server
// is healthy. What a command line asks that is not modelled ends as a host.UnknownError.
package cluster

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/sim/host"
)

// Network is all hosts of a simulation and what they are to each other. It implements host.Network.
type Network struct {
	seed  uint64
	clock host.Clock
	// Internet answers requests that go to none of the hosts.
	Internet func(from *host.Host, req *http.Request) (*http.Response, error)

	mu       sync.Mutex
	hosts    map[string]*host.Host // by address and by name
	down     map[string]bool       // by name
	balanced map[string]*host.Host // hosts that have started keepalived, by name
	planes   map[string]*plane     // control planes by host
	clusters []*Cluster
	names    hostsFiles
	sides    sync.Map // of the text of a configuration of keepalived: its keepalived; of haproxy: its balancer
}

// New returns a network without hosts.
func New(seed uint64, clock host.Clock) *Network {
	return &Network{seed: seed, clock: clock, hosts: map[string]*host.Host{}, down: map[string]bool{}, balanced: map[string]*host.Host{},
		planes: map[string]*plane{}}
}

// Add connects a host.
func (n *Network) Add(h *host.Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[h.IP], n.hosts[h.Name] = h, h
}

// Host finds a host by name or address.
func (n *Network) Host(name string) *host.Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[name]
}

// SetDown takes a host off the network, or puts it back.
func (n *Network) SetDown(name string, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[name] = down
}

// Down tells whether a host is off the network.
func (n *Network) Down(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down[name]
}

// OnStart is told of units that start on hosts.
func (n *Network) OnStart(h *host.Host, unit string) {
	if unit == "keepalived.service" {
		n.mu.Lock()
		n.balanced[h.Name] = h
		n.mu.Unlock()
	}
}

// end is why a connection is not made.
type end int

const (
	open end = iota
	refused
	timeout
	reset    // accepted by a balancer that has no server
	nowhere  // no such name
	internet // not one of ours
)

// Dial implements host.Network.
func (n *Network) Dial(ctx context.Context, from *host.Host, network, address string) (net.Conn, error) {
	p, how := n.reach(from, address)
	switch how {
	case open, reset:
		near, far := net.Pipe()
		if p != nil {
			go n.serve(far, p, address)
			return near, nil
		}
		go func() { _, _ = io.Copy(io.Discard, far) }() // ends when the task closes its side
		return near, nil
	case refused:
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case nowhere:
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
	}
	if a := neighbour(from, address); a != nil {
		if err := n.clock.Sleep(ctx, 3*time.Second); err != nil {
			return nil, err
		}
		return nil, &net.OpError{Op: "dial", Net: network, Addr: a, Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}
	}
	if err := n.clock.Sleep(ctx, 5*time.Second); err != nil {
		return nil, err
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
}

// neighbour is the address, where it is one of the network that from is in: the kernel of from finds out by itself then
// that nobody has it. nil where a router may know more.
func neighbour(from *host.Host, address string) net.Addr {
	to, err := netip.ParseAddrPort(address)
	if err != nil || from == nil {
		return nil
	}
	ours, err := netip.ParseAddr(from.IP)
	if err != nil || !netip.PrefixFrom(ours, 24).Contains(to.Addr()) {
		return nil
	}
	return net.TCPAddrFromAddrPort(to)
}

// RoundTrip implements host.Network.
func (n *Network) RoundTrip(from *host.Host, req *http.Request) (*http.Response, error) {
	port := req.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[req.URL.Scheme]
	}
	if to, _ := n.lookUp(from, req.URL.Hostname()); port == proxyPort && to != nil && to == from {
		if resp := n.askProxy(from, req); resp != nil {
			return resp, nil
		}
	}
	plane, how := n.reach(from, net.JoinHostPort(req.URL.Hostname(), port))
	switch {
	case how == internet:
		return n.Internet(from, req)
	case how == open && plane != nil:
		status, text := n.answer(plane, req)
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)),
			ContentLength: int64(len(text)), Request: req}, nil
	case how == open, how == reset:
		return nil, io.ErrUnexpectedEOF
	}
	_, err := n.Dial(req.Context(), from, "tcp", req.URL.Host)
	return nil, err
}

// answer is what an API server says to somebody it does not know: whether it is well, and its version.
func (n *Network) answer(p *plane, req *http.Request) (int, string) {
	if req.URL.Scheme != "https" {
		return http.StatusBadRequest, "Client sent an HTTP request to an HTTPS server.\n"
	}
	switch req.URL.Path {
	case "/livez":
		return http.StatusOK, "ok"
	case "/healthz", "/readyz":
		if !n.healthy(p) {
			return http.StatusInternalServerError, "[-]etcd failed: reason withheld"
		}
		return http.StatusOK, "ok"
	case "/version":
		return http.StatusOK, `{"gitVersion": "` + p.cluster.version + `"}`
	}
	return http.StatusForbidden, `{"kind": "Status", "status": "Failure", "reason": "Forbidden", "message": "User \"system:anonymous\" cannot get path \"` + req.URL.Path + `\""}`
}

// reach finds what listens at an address: a control plane, where it is an API server.
func (n *Network) reach(from *host.Host, address string) (*plane, end) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		name, port = address, "443"
	}
	if from != nil && n.Down(from.Name) {
		return nil, timeout
	}
	to, how := n.lookUp(from, name)
	if to == nil {
		return nil, how
	}
	if n.Down(to.Name) {
		return nil, timeout
	}
	if port == "22" {
		return nil, open
	}
	if p := n.planeOf(to.Name); p != nil && p.port == port && n.up(p) {
		return p, open
	}
	return n.balance(to, port)
}

// lookUp finds the host behind a name or address.
func (n *Network) lookUp(from *host.Host, name string) (*host.Host, end) {
	if from != nil && (name == "localhost" || strings.HasPrefix(name, "127.")) {
		return from, open
	}
	if h := n.Host(name); h != nil {
		return h, open
	}
	if h := n.holder(name); h != nil {
		return h, open
	}
	if net.ParseIP(name) != nil {
		return nil, timeout
	}
	if from != nil {
		if address := n.names.address(from.Text("/etc/hosts"), name); address != "" {
			return n.lookUp(from, address)
		}
	}
	if !strings.Contains(name, ".") {
		return nil, nowhere
	}
	return nil, internet
}
