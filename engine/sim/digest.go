package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Digest is a hash of what a run has put on the hosts: files outside /etc/kubernetes (whose keys differ after a reset),
// without records of times.
func (w *World) Digest() string {
	w.mu.Lock()
	names := slices.Clone(w.order)
	w.mu.Unlock()
	slices.Sort(names)
	sum := sha256.New()
	for _, name := range names {
		w.hosts[name].Each(func(path, line string) {
			for _, dir := range []string{"/usr/", "/opt/", "/etc/", "/root/"} {
				if strings.HasPrefix(path, dir) && !strings.HasPrefix(path, "/etc/kubernetes") && !strings.HasPrefix(path, "/root/.kube") {
					_, _ = fmt.Fprintln(sum, name, path, line) // a hash takes everything
				}
			}
		})
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
