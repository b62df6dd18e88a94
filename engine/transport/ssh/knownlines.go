package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"github.com/skeema/knownhosts"
)

// OpenSSH passes over lines of known_hosts that it can't read: keys of times long gone, the marks of a merge. The library
// that reads them here wants all lines to be good, so it gets a copy without the others.

// maxBadLines is how many lines are passed over; a file with more is none.
const maxBadLines = 100

// badLine is how the library says where it stopped.
var badLine = regexp.MustCompile(`^knownhosts: (.+):(\d+): (.*)$`)

// read reads known_hosts files. k.mu is held.
func (k *knownHosts) read(s *settings, files []string) (*knownhosts.HostKeyDB, error) {
	var temporary []string
	defer func() {
		for _, f := range temporary {
			os.Remove(f)
		}
	}()
	for range maxBadLines {
		db, err := knownhosts.NewDB(files...)
		if err == nil {
			return db, nil
		}
		i, line, why := whichLine(err, files)
		if i < 0 {
			return nil, err
		}
		without, err := withoutLine(files[i], line)
		if err != nil {
			return nil, err
		}
		temporary = append(temporary, without)
		file := k.originalLocked(files[i])
		k.copies[without], files[i] = file, without
		if at := fmt.Sprintf("%s:%d", file, line); !k.told[at] {
			k.told[at] = true
			k.notify(s.name, fmt.Sprintf("%s can't be read (%s), and is passed over", at, why))
		}
	}
	return nil, errors.New("too many lines can't be read")
}

func whichLine(err error, files []string) (file, line int, why string) {
	m := badLine.FindStringSubmatch(err.Error())
	if m == nil {
		return -1, 0, ""
	}
	for i, name := range files {
		if n, err := strconv.Atoi(m[2]); err == nil && name == m[1] {
			return i, n, m[3]
		}
	}
	return -1, 0, ""
}

// withoutLine makes a copy of a file in which one line is empty, so that the others keep their numbers.
func withoutLine(file string, line int) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	lines := bytes.Split(text, []byte("\n"))
	if line < 1 || line > len(lines) || len(lines[line-1]) == 0 {
		return "", fmt.Errorf("%s changes while it is read", file)
	}
	if bytes.HasPrefix(bytes.TrimSpace(lines[line-1]), []byte("@revoked")) {
		return "", fmt.Errorf("%s:%d says that a key must not be trusted, and which one can't be read: correct that line", file, line)
	}
	lines[line-1] = nil
	out, err := os.CreateTemp("", "kflow-known-hosts-")
	if err != nil {
		return "", err
	}
	_, err = out.Write(bytes.Join(lines, []byte("\n")))
	return out.Name(), errors.Join(err, out.Close())
}

// original is the file that a name stands for.
func (k *knownHosts) original(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.originalLocked(name)
}

func (k *knownHosts) originalLocked(name string) string {
	if file, ok := k.copies[name]; ok {
		return file
	}
	return name
}
