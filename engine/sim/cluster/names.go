package cluster

import (
	"strings"
	"sync"
)

// hostsFiles are /etc/hosts of hosts, read: the same file is on all of them, with a line for each, and it is asked for
// each download.
type hostsFiles struct {
	mu   sync.Mutex
	read [8]hostsFile // the latest
	next int
}

type hostsFile struct {
	text    string
	address map[string]string // by name
}

// address is what a file says of a name; "" = nothing.
func (f *hostsFiles) address(text, name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.read {
		if f.read[i].address != nil && f.read[i].text == text {
			return f.read[i].address[name]
		}
	}
	h := hostsFile{text: text, address: map[string]string{}}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		for i := 1; i < len(words); i++ {
			if _, known := h.address[words[i]]; !known && words[i] != words[0] {
				h.address[words[i]] = words[0]
			}
		}
	}
	f.read[f.next] = h
	f.next = (f.next + 1) % len(f.read)
	return h.address[name]
}
