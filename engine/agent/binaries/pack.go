package binaries

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
)

// Pack compresses a program. The same program gives the same bytes.
func Pack(program []byte) (Binary, error) {
	sum := sha256.Sum256(program)
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return Binary{}, err
	}
	w.Comment = hex.EncodeToString(sum[:])
	if _, err := w.Write(program); err != nil {
		return Binary{}, err
	}
	if err := w.Close(); err != nil {
		return Binary{}, err
	}
	return Binary{SHA256: w.Comment, Data: buf.Bytes()}, nil
}
