package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/task"
)

func TestALinkOfAnotherUserInASharedDirectoryIsNotFollowed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a link of another user")
	}
	dir := t.TempDir()
	victim, link := filepath.Join(dir, "victim"), filepath.Join(dir, "link")
	for _, err := range []error{os.WriteFile(victim, []byte("old"), 0o600), os.Symlink(victim, link), os.Lchown(link, 65534, 65534),
		os.Chmod(dir, 0o777|os.ModeSticky)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m := machine()
	err := m.WriteFile(t.Context(), link, strings.NewReader("new"), task.Attr{})
	if err == nil || !strings.Contains(err.Error(), "symbolic link of another user") || read(t, victim) != "old" {
		t.Errorf("%v; the file has %q", err, read(t, victim))
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteFile(t.Context(), link, strings.NewReader("new"), task.Attr{}); err != nil || read(t, victim) != "new" {
		t.Errorf("in a directory of one user: %v; the file has %q", err, read(t, victim))
	}
}
