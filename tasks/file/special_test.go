package file

import (
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/task"
)

// pipe is a host with a named pipe at each path; to read it would wait for ever.
type pipe struct{ task.Host }

func (pipe) Stat(context.Context, string) (task.FileInfo, error) {
	return task.FileInfo{Mode: fs.ModeNamedPipe | 0o644}, nil
}

func TestSpecial(t *testing.T) {
	p := &File{Path: "/run/x", Content: &task.Content{Inline: true, Text: "x"}}
	_, err := p.Changes(context.Background(), pipe{})
	if err == nil || !strings.Contains(err.Error(), "/run/x is no file: a named pipe") {
		t.Error(err)
	}
}
