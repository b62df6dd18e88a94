package wire

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

const (
	maxNoise  = 1 << 20 // how much a login shell may print before a marker, in bytes
	maxMarker = 4 << 10 // how much a marker may say
)

// Marker is a line that says words to the other side where other programs may write too (the output of a login shell).
// nonce is a text that such a program cannot know.
func Marker(nonce string, words ...string) string {
	return markerPrefix(nonce) + strings.Join(words, " ") + "\n"
}

func markerPrefix(nonce string) string { return "@kflow:" + nonce + " " }

// ReadMarker reads up to the end of the next marker, which may begin in the middle of a line, and not a byte further. It
// returns the words, and what came before them. The error is that of r, or that there is too much noise.
func ReadMarker(r io.ByteReader, nonce string) (words []string, noise string, err error) {
	prefix := []byte(markerPrefix(nonce))
	var seen []byte
	for len(seen) < maxNoise {
		c, err := r.ReadByte()
		if err != nil {
			return nil, string(seen), err
		}
		seen = append(seen, c)
		if c == prefix[len(prefix)-1] && bytes.HasSuffix(seen, prefix) {
			line, err := restOfLine(r)
			return strings.Fields(line), string(seen[:len(seen)-len(prefix)]), err
		}
	}
	return nil, string(seen), fmt.Errorf("the host printed more than %d bytes before the agent started", maxNoise)
}

func restOfLine(r io.ByteReader) (string, error) {
	var line []byte
	for len(line) < maxMarker {
		c, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '\n' {
			return string(line), nil
		}
		line = append(line, c)
	}
	return "", fmt.Errorf("a marker without end: %q", line)
}
