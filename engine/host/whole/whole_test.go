package whole

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// names are what is in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestAFileAppearsWhole(t *testing.T) {
	for name, create := range map[string]func(string) (*File, error){"without a name": Create, "with one": createNamed} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			target := filepath.Join(dir, strings.Repeat("x", 255))
			for _, text := range []string{"one", "two"} {
				f, err := create(target)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.WriteString(text); err != nil {
					t.Fatal(err)
				}
				if b, _ := os.ReadFile(target); string(b) == text {
					t.Error("it is there before it is whole")
				}
				if err := f.Commit(); err != nil {
					t.Fatal(err)
				}
				f.Discard()
				if b, _ := os.ReadFile(target); string(b) != text {
					t.Errorf("%q is there, want %q", b, text)
				}
			}
			f, err := create(target)
			if err != nil {
				t.Fatal(err)
			}
			f.Discard()
			if got := names(t, dir); got != filepath.Base(target) {
				t.Errorf("in the directory: %s", got)
			}
		})
	}
}

func TestAFileThatCanNotTakeItsPlaceIsGone(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "sub")
	f, err := Create(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(target, "x"), 0o700); err != nil { // somebody makes it meanwhile
		t.Fatal(err)
	}
	if err := f.Commit(); err == nil {
		t.Error("a file took the place of a directory")
	}
	if got := names(t, dir); got != "sub" {
		t.Errorf("in the directory: %s", got)
	}
	if _, err := Create(filepath.Join(dir, "missing", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestOnlyWhatDeadWritersLeftIsSwept(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	touch := func(name string) {
		t.Helper()
		if err := os.WriteFile(at(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	alive, err := createNamed(at("alive"))
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Discard()
	dead := filepath.Base(Name(at("dead")))
	touch(dead)
	oldLink, newLink := Name(at("old")), Name(at("new"))
	for _, l := range []string{oldLink, newLink} {
		if err := os.Symlink("nowhere", l); err != nil {
			t.Fatal(err)
		}
	}
	folder := Name(at("folder"))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	others := []string{"hosts", ".hosts.kflow-1234", ".hosts.kflow-ABCDEFGHIJKLMNOPQRSTUVWXYZ.bak", "hosts.kflow-ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
	for _, name := range others {
		touch(name)
	}
	Sweep(dir)
	got := names(t, dir)
	if strings.Contains(got, dead) {
		t.Error("what a dead writer left is still there")
	}
	for _, name := range append(others, filepath.Base(alive.name), filepath.Base(folder), filepath.Base(newLink)) {
		if !strings.Contains(" "+got+" ", " "+name+" ") {
			t.Errorf("%s is gone, and is not ours to take away", name)
		}
	}
	if err := alive.Commit(); err != nil {
		t.Errorf("a living writer was disturbed: %v", err)
	}
	if !expired(time.Now().Add(-2*linkAge)) || expired(time.Now()) {
		t.Error("links are told apart by their age")
	}
}

// TestWhatIsNoFileStays: a device, a pipe or a directory is not replaced, and nothing is left beside it.
func TestWhatIsNoFileStays(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Mkdir(filepath.Join(dir, "sub"), 0o700), os.Symlink("pipe", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "sub", "link"} {
		if f, err := Create(filepath.Join(dir, name)); err == nil {
			f.Discard()
			t.Errorf("%s would be replaced", name)
		}
	}
	if got := names(t, dir); got != "link pipe sub" {
		t.Errorf("left: %s", got)
	}
}
