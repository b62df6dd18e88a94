// Package binaries holds the agent for each architecture, built into kflow. The files are made by the program in
// directory build; without them the package compiles, and says what is missing when it is asked.
package binaries

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed agent-*
var files embed.FS

// Binary is an agent.
type Binary struct {
	SHA256 string // hex, of the program
	Data   []byte // the program, gzip
}

// MissingError says that there is no agent for an architecture.
type MissingError struct{ Arch string }

func (e *MissingError) Error() string {
	if !slices.Contains(Arches(), e.Arch) {
		return fmt.Sprintf("there is no agent for %s: kflow has agents for %s", e.Arch, strings.Join(Arches(), " and "))
	}
	return fmt.Sprintf("this kflow was built without the agent for %s: run make build", e.Arch)
}

// Arches are the architectures an agent is built for, as Go names them.
func Arches() []string { return []string{"amd64", "arm64"} }

// For returns the agent for an architecture as Go names it. The error is a *MissingError, or that the file is damaged.
func For(arch string) (Binary, error) {
	data, err := files.ReadFile("agent-linux-" + arch + ".gz")
	if errors.Is(err, fs.ErrNotExist) {
		return Binary{}, &MissingError{arch}
	}
	if err != nil {
		return Binary{}, err
	}
	return Parse(data)
}

// Parse reads what Pack has made.
func Parse(data []byte) (Binary, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return Binary{}, fmt.Errorf("agent: %w", err)
	}
	if len(r.Comment) != 64 {
		return Binary{}, errors.New("agent: the gzip header does not name its SHA-256: run make build")
	}
	return Binary{SHA256: r.Comment, Data: data}, nil
}
