package host

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// names knows users and groups. The files are read again when they change; what they do not have is asked of getent
// (directory services), for names alone: a file's owner that is only a number is shown as one.
type names struct{ users, groups *table }

func newNames(passwd, group string) *names {
	return &names{&table{file: passwd, database: "passwd"}, &table{file: group, database: "group"}}
}

type table struct {
	file, database string

	mu     sync.Mutex
	stamp  stamp
	byName map[string]int
	byID   map[int]string
}

type stamp struct {
	mtime time.Time
	size  int64
}

// refresh reads the file if it is another one than before. The lock is held.
func (t *table) refresh() {
	st, err := os.Stat(t.file)
	if err != nil {
		return
	}
	now := stamp{st.ModTime(), st.Size()}
	if t.byName != nil && now == t.stamp {
		return
	}
	f, err := os.Open(t.file)
	if err != nil {
		return
	}
	defer f.Close()
	t.stamp, t.byName, t.byID = now, map[string]int{}, map[int]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		t.add(s.Text())
	}
}

func (t *table) add(line string) {
	fields := strings.Split(line, ":")
	if len(fields) < 3 {
		return
	}
	id, err := strconv.Atoi(fields[2])
	if err != nil {
		return
	}
	t.byName[fields[0]] = id
	if _, known := t.byID[id]; !known {
		t.byID[id] = fields[0]
	}
}

// name is the name of an id, or its number.
func (t *table) name(id int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refresh()
	if n, ok := t.byID[id]; ok {
		return n
	}
	return strconv.Itoa(id)
}

// id is the number of a name or of a number. "" is -1: not given.
func (t *table) id(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refresh()
	if id, ok := t.byName[name]; ok {
		return id, nil
	}
	if out, err := exec.Command("getent", t.database, name).Output(); err == nil {
		if f := strings.Split(string(out), ":"); len(f) > 2 {
			if id, err := strconv.Atoi(f[2]); err == nil {
				return id, nil
			}
		}
	}
	what := map[string]string{"passwd": "user", "group": "group"}[t.database]
	return 0, fmt.Errorf("there is no %s %q on this host", what, name)
}
