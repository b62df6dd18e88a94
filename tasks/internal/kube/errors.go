package kube

import (
	"errors"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// Reason is what an APIError means.
type Reason int

// The reasons.
const (
	Other       Reason = iota
	NotFound           // the object, its kind or its namespace does not exist
	Unreachable        // the server cannot be asked now; it may later
	Refused            // the server does not know who asks, or does not allow it
)

// APIError is a question that failed. It unwraps to a task.Failure, which says what to do.
type APIError struct {
	Reason Reason
	*task.Failure
}

// Unwrap returns the failure.
func (e *APIError) Unwrap() error { return e.Failure }

// Is tells whether err is an APIError of that reason.
func Is(err error, r Reason) bool {
	var e *APIError
	return errors.As(err, &e) && e.Reason == r
}

// NewAPIError makes an error of a kubectl command that failed.
func NewAPIError(c task.Command, o task.Output) *APIError {
	e := &APIError{Reason: reason(o.Stderr + o.Stdout), Failure: task.Failf("`%s` ended with exit code %d", c, o.Code).WithOutput(o)}
	switch e.Reason {
	case Unreachable:
		e.Transient = true
		e.Summary = "the API of the cluster cannot be asked: " + lastLine(o)
		e.Hint = "see whether the load balancer and an API server are up (`kubectl get --raw /readyz`, `crictl ps | grep apiserver`, `journalctl -u kubelet`), then resume"
	case Refused:
		e.Hint = "the kubeconfig belongs to another cluster, its certificate has expired (`kubeadm certs check-expiration`), or its user may not do this"
		if strings.Contains(o.Stderr+o.Stdout, "expired or is not yet valid") {
			e.Hint = "the clock of this host is wrong (`timedatectl`), or a certificate of the cluster has ended (`kubeadm certs check-expiration`, `kubeadm: {certificates: {}}`)"
		}
	}
	return e
}

func lastLine(o task.Output) string {
	s := o.Tail(300)
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}

// reason reads what kubectl, the API server or kubeadm says.
func reason(text string) Reason {
	if strings.Contains(text, "command terminated with exit code") { // what a program in a pod says is no word of the API
		return Other
	}
	for _, r := range []struct {
		reason Reason
		texts  []string
	}{
		{Unreachable, []string{
			"connection refused", "was refused - did you specify", "no route to host", "network is unreachable", "i/o timeout",
			"TLS handshake timeout", "context deadline exceeded", "Client.Timeout exceeded", "connection reset by peer", "unexpected EOF",
			": EOF", "http2: client connection lost", "http2: server sent GOAWAY", "ServiceUnavailable", "Service Unavailable",
			"unable to handle the request", "etcdserver: ", "leader changed", "has prevented the request from succeeding",
			"(Timeout)", "(ServerTimeout)", "(TooManyRequests)", "no endpoints available", "apiserver not ready", "no such host",
			"Unable to connect to the server: net/http", "request did not complete within",
		}},
		{NotFound, []string{
			"(NotFound)", "could not find the requested resource", "no matches for kind", "doesn't have a resource type",
			"resource mapping not found", "ensure CRDs are installed first",
		}},
		{Refused, []string{"Unauthorized", "must be logged in", "(Forbidden)", "x509: certificate", "certificate signed by unknown authority"}},
	} {
		for _, t := range r.texts {
			if strings.Contains(text, t) {
				return r.reason
			}
		}
	}
	return Other
}

// Transient tells whether trying again may help a command that printed this.
func Transient(o task.Output) bool { return reason(o.Stderr+o.Stdout) == Unreachable }
