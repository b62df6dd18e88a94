// Package jsonl writes a run as JSON lines, for programs. The first line names the stream and the version of its form:
//
//	{"stream":"kflow","version":1}
//
// Every other line is one event (see package event). Within a version, members and types of events are only added: a
// reader must skip those it does not know. Nothing else is written to the stream, ever.
package jsonl

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/kflow/kflow/engine/event"
)

// Version of the stream.
const Version = 1

// Header is the first line.
type Header struct {
	Stream  string `json:"stream"` // "kflow"
	Version int    `json:"version"`
}

// Renderer is an event.Sink that writes JSON lines. It is safe for concurrent use.
type Renderer struct {
	mu  sync.Mutex
	enc *json.Encoder
	err error
}

// New returns a Renderer and writes the header to w.
func New(w io.Writer) *Renderer {
	r := &Renderer{enc: json.NewEncoder(w)}
	r.enc.SetEscapeHTML(false)
	r.write(Header{Stream: "kflow", Version: Version})
	return r
}

// Emit writes e with one write. After an error nothing more is written.
func (r *Renderer) Emit(e event.Event) { r.write(e) }

// Close returns the first error that writing met.
func (r *Renderer) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *Renderer) write(v any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = r.enc.Encode(v)
	}
}
