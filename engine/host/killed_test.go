package host

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/host/whole"
	"github.com/kflow/kflow/engine/task"
)

// watched looks into a directory while it is read.
type watched struct {
	io.Reader
	dir  string
	seen []string
}

func (w *watched) Read(p []byte) (int, error) {
	entries, _ := os.ReadDir(w.dir)
	for _, e := range entries {
		w.seen = append(w.seen, e.Name())
	}
	return w.Reader.Read(p)
}

func TestAWriterThatIsKilledLeavesNothing(t *testing.T) {
	m, dir := machine(), t.TempDir()
	left := whole.Name(filepath.Join(dir, "other"))
	if err := os.WriteFile(left, nil, 0o600); err != nil { // by an agent on a file system that has no files without name
		t.Fatal(err)
	}
	r := &watched{Reader: strings.NewReader("x"), dir: dir}
	if err := m.WriteFile(t.Context(), filepath.Join(dir, "a"), r, task.Attr{}); err != nil {
		t.Fatal(err)
	}
	if len(r.seen) > 0 {
		t.Errorf("while it is written there is %v, which would stay there", r.seen)
	}
}
