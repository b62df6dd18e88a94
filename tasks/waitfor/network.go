package waitfor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// attemptLimit ends an attempt that gets no answer at all.
const attemptLimit = 5 * time.Second

// Port is a TCP port.
type Port struct {
	Host   string `json:"host" default:"127.0.0.1" doc:"Name or address."`
	Port   int    `json:"port" kf:"required,short,min=1" doc:"Its number."`
	Expect string `json:"expect" kf:"enum=open|closed|refused|reachable" default:"open" doc:"open: a connection is made; closed: none is; refused: the host answers and refuses; reachable: open or refused, but no timeout."`
}

func (p *Port) address() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }
func (p *Port) check() error    { return nil }
func (p *Port) reads() []string { return nil }
func (p *Port) String() string {
	switch p.Expect {
	case "refused":
		return p.address() + " refuses connections"
	case "reachable":
		return p.address() + " accepts or refuses connections"
	}
	return p.address() + " is " + p.Expect
}

func (p *Port) ask(ctx context.Context, h task.Host) (bool, string, error) {
	limited, cancel := context.WithTimeoutCause(ctx, attemptLimit, fmt.Errorf("no answer within %s", attemptLimit))
	defer cancel()
	conn, err := h.Dial(limited, "tcp", p.address())
	if err == nil {
		_ = conn.Close()
		return p.Expect == "open" || p.Expect == "reachable", "open", nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return false, "", cause
	}
	if refused(err) {
		return p.Expect != "open", "connection refused", nil
	}
	return p.Expect == "closed", seenOf(err), nil
}

func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "connection refused")
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

func seenOf(err error) string {
	switch {
	case refused(err):
		return "connection refused"
	case timedOut(err):
		return "no answer (timeout)"
	}
	return err.Error()
}

func (p *Port) advice(seen string) string {
	switch {
	case p.Expect == "reachable":
		return "a refusal would be right before kubeadm init, a timeout is not: nobody has the address (is keepalived up, is the address on the right network?), or a firewall drops packets"
	case strings.Contains(seen, "timeout"), strings.Contains(seen, "no route"):
		return "packets get lost: look at the firewall, routes, and whether somebody has the address"
	case seen == "connection refused":
		return "the host answers, but nothing listens there: is the service running (`ss -ltnp`)?"
	}
	return ""
}

// HTTP is the answer to a request.
type HTTP struct {
	URL      string         `json:"url" kf:"required,short,format=url" doc:"Address, http or https."`
	Status   []int          `json:"status" doc:"Expected status codes; default: 200."`
	Insecure bool           `json:"insecure" doc:"Whether any certificate will do."`
	CA       string         `json:"ca" kf:"format=path" doc:"File on the host with the certificate authority to trust."`
	Contains string         `json:"contains" doc:"Text the body must contain."`
	JSON     map[string]any `json:"json" doc:"Values the body must have as JSON, by path: status.phase: ready."`
}

func (p *HTTP) String() string { return "GET " + p.URL + " is answered as expected" }

func (p *HTTP) advice(seen string) string {
	switch {
	case seen == "connection refused":
		return "the host answers, but nothing listens there: is the service running (`ss -ltnp`)?"
	case strings.Contains(seen, "timeout"), strings.Contains(seen, "no route"):
		return "packets get lost: look at the firewall, routes, and whether somebody has the address"
	case strings.Contains(seen, "x509") || strings.Contains(seen, "certificate"):
		return "the certificate is not trusted: name its authority (ca: /etc/kubernetes/pki/ca.crt for a cluster), the name or address it is made for, and see that the clocks are right"
	case strings.Contains(seen, "no such host"):
		return "the name is not known on this host: /etc/hosts, /etc/resolv.conf"
	case strings.Contains(seen, "EOF"), strings.Contains(seen, "status 502"), strings.Contains(seen, "status 503"), strings.Contains(seen, "status 504"):
		return "a load balancer answers, and has no server behind it that does: look at these"
	case strings.HasPrefix(seen, "status 5"):
		return "the server answers, and has trouble of its own: look at its log"
	case strings.HasPrefix(seen, "status 401"), strings.HasPrefix(seen, "status 403"):
		return "the server wants to know who asks; if any answer will do, say so: status: [200, 401, 403]"
	}
	return ""
}

func (p *HTTP) check() error {
	for path := range p.JSON {
		if _, err := kube.ParsePath(path); err != nil {
			return task.Failf("json: %w", err)
		}
	}
	return nil
}

func (p *HTTP) reads() []string {
	if p.CA == "" {
		return nil
	}
	return []string{"path:" + p.CA}
}

func (p *HTTP) ask(ctx context.Context, h task.Host) (bool, string, error) {
	tr, err := p.transport(ctx, h)
	if err != nil {
		return false, "", err
	}
	limited, cancel := context.WithTimeoutCause(ctx, attemptLimit, fmt.Errorf("no answer within %s", attemptLimit))
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, p.URL, nil)
	if err != nil {
		return false, "", err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return false, "", cause
		}
		return false, seenOf(err), nil
	}
	defer func() { _ = resp.Body.Close() }()
	const most = 1 << 20
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return false, seenOf(err), nil
	}
	ok, seen := p.judge(resp.StatusCode, string(body))
	return ok, seen, nil
}

// judge looks at an answer.
func (p *HTTP) judge(status int, body string) (bool, string) {
	want := p.Status
	if len(want) == 0 {
		want = []int{http.StatusOK}
	}
	if !slices.Contains(want, status) {
		return false, fmt.Sprintf("status %d, %s", status, quoted(body))
	}
	if !strings.Contains(body, p.Contains) {
		return false, "the body does not contain " + quoted(p.Contains) + ": " + quoted(body)
	}
	if len(p.JSON) == 0 {
		return true, fmt.Sprintf("status %d", status)
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return false, "the body is not JSON: " + quoted(body)
	}
	for _, path := range slices.Sorted(maps.Keys(p.JSON)) {
		if ok, seen := equal(v, path, p.JSON[path]); !ok {
			return false, seen
		}
	}
	return true, "as expected"
}

// equal compares the value at a path.
func equal(v any, path string, want any) (bool, string) {
	parsed, err := kube.ParsePath(path)
	if err != nil {
		return false, err.Error()
	}
	have, there := parsed.Get(v)
	if !there {
		return false, "there is no " + path
	}
	return kube.Equal(want, have), fmt.Sprintf("%s is %v", path, have)
}

// transport trusts what the parameters say. A host that is simulated has a transport of its own, which needs no TLS.
func (p *HTTP) transport(ctx context.Context, h task.Host) (http.RoundTripper, error) {
	tr := h.HTTP()
	std, ok := tr.(*http.Transport)
	if !ok || (!p.Insecure && p.CA == "") {
		return tr, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: p.Insecure} //nolint:gosec // asked for in the playbook
	if p.CA != "" {
		pem, err := h.ReadFile(ctx, p.CA)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, task.Failf("ca: %s has no certificate", p.CA)
		}
	}
	std = std.Clone()
	std.TLSClientConfig, std.DisableKeepAlives = conf, true
	return std, nil
}
