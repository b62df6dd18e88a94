package binaries

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPackAndParse(t *testing.T) {
	program := []byte(strings.Repeat("program", 1000))
	a, err := Pack(program)
	b, _ := Pack(program)
	if err != nil || !bytes.Equal(a.Data, b.Data) {
		t.Errorf("packing twice differs, %v", err)
	}
	got, err := Parse(a.Data)
	sum := sha256.Sum256(program)
	if err != nil || got.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v, %v", got.SHA256, err)
	}
	if _, err := Parse([]byte("no gzip")); err == nil {
		t.Error("no error")
	}
}

// Where agents are built in, they are what their header says, and small.
func TestAgentsThatAreBuiltIn(t *testing.T) {
	for _, arch := range Arches() {
		b, err := For(arch)
		var missing *MissingError
		if errors.As(err, &missing) {
			t.Logf("%v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r, _ := gzip.NewReader(bytes.NewReader(b.Data))
		h := sha256.New()
		size, err := io.Copy(h, r)
		if err != nil || hex.EncodeToString(h.Sum(nil)) != b.SHA256 {
			t.Errorf("%s is not what its header says: %v", arch, err)
		}
		if size > 9<<20 {
			t.Errorf("the agent for %s has %.1f MB: what was imported?", arch, float64(size)/1e6)
		}
	}
}

func TestAnArchitectureWithoutAgent(t *testing.T) {
	_, err := For("riscv64")
	var missing *MissingError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "amd64 and arm64") {
		t.Error(err)
	}
	if err := (&MissingError{"arm64"}); !strings.Contains(err.Error(), "make build") {
		t.Error(err)
	}
}
