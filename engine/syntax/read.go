package syntax

import (
	"fmt"
	"io"
	"os"
)

// MaxFile is the size of the largest text that is read at all: a template, a list of values. A YAML file has MaxBytes at the most.
const MaxFile = 64 << 20

// ReadFile reads a text that a person names. A file that is larger than any of them, or has no end (/dev/zero), is an error.
func ReadFile(path string) ([]byte, error) { return readFile(path, MaxFile) }

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is larger than %d MiB", limit>>20)}
	}
	return text, err
}
