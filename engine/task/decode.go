package task

import (
	"bytes"
	"encoding/json"
	"errors"
)

// decoder is a decoder of JSON with its source, so that its buffer can be used again.
type decoder struct {
	from bytes.Reader
	*json.Decoder
}

// Decode reads the parameters of a task, one JSON value, into what New of its kind returned. A key that it does not have is
// an error.
func (r *Registry) Decode(params []byte, into any) error {
	d, ok := r.decoders.Get().(*decoder)
	if !ok {
		d = new(decoder)
		d.Decoder = json.NewDecoder(&d.from)
		d.DisallowUnknownFields()
	}
	d.from.Reset(params)
	if err := d.Decoder.Decode(into); err != nil {
		return err // and the decoder is not used again
	}
	if d.More() {
		return errors.New("there is more than one value")
	}
	d.from.Reset(nil)
	r.decoders.Put(d)
	return nil
}
