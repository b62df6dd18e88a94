package cluster

import (
	"io"
	"net/http"
	"strings"

	"github.com/kflow/kflow/engine/sim/host"
)

// proxyPort is where kube-proxy says on its own host how it works.
const proxyPort = "10249"

// proxyMode is the mode in which kube-proxy runs on a host; "" = it does not run there. Without the modules of ipvs it
// falls back to iptables.
func (n *Network) proxyMode(h *host.Host) string {
	n.mu.Lock()
	var c *Cluster
	var x *node
	for _, one := range n.clusters {
		for _, of := range one.nodes {
			if of.host == h {
				c, x = one, of
			}
		}
	}
	var proxy *object
	if c != nil {
		proxy = c.objects["DaemonSet/kube-system/kube-proxy"]
	}
	n.mu.Unlock()
	if proxy == nil || !n.podUp(c, proxy, x, h.Now()) {
		return ""
	}
	loaded := "\n" + h.Text("/proc/modules")
	for _, module := range []string{"ip_vs", "ip_vs_rr"} {
		if c.proxy == "ipvs" && !strings.Contains(loaded, "\n"+module+" ") {
			return "iptables"
		}
	}
	return first(c.proxy, "iptables")
}

// askProxy answers a request to kube-proxy; nil = nobody listens.
func (n *Network) askProxy(from *host.Host, req *http.Request) *http.Response {
	mode := n.proxyMode(from)
	if mode == "" {
		return nil
	}
	status := http.StatusOK
	if req.URL.Path != "/proxyMode" && req.URL.Path != "/healthz" {
		status, mode = http.StatusNotFound, "404 page not found"
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(mode)),
		ContentLength: int64(len(mode)), Request: req}
}
