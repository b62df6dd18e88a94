package host

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/task"
)

// owned returns owner and group as a stat shows them: by name, where a number has one. A name that the host does not have is
// an error, as on a real one. h.mu is held.
func (h *Host) owned(a task.Attr) (task.Attr, error) {
	var err error
	if a.Owner, err = h.named("user", "/etc/passwd", a.Owner); err == nil {
		a.Group, err = h.named("group", "/etc/group", a.Group)
	}
	return a, err
}

func (h *Host) named(what, file, who string) (string, error) {
	if who == "" || who == "root" {
		return who, nil
	}
	_, n, err := h.files.find("open", file, true)
	if err != nil {
		return "", err
	}
	_, err = strconv.Atoi(who)
	number := err == nil
	for line := range strings.Lines(n.data) {
		f := strings.SplitN(line, ":", 4)
		if len(f) == 4 && (f[0] == who || number && f[2] == who) {
			return f[0], nil
		}
	}
	if number {
		return who, nil
	}
	return "", fmt.Errorf("there is no %s %q on this host", what, who)
}

// accounts writes the users and groups of a fresh installation.
func (im *Image) accounts() {
	users := "root 0 daemon 1 bin 2 sys 3 sync 4 games 5 man 6 lp 7 mail 8 news 9 uucp 10 proxy 13 www-data 33 backup 34 list 38 irc 39 _apt 42 nobody 65534"
	groups := "root 0 daemon 1 bin 2 sys 3 adm 4 tty 5 disk 6 lp 7 mail 8 news 9 uucp 10 man 12 proxy 13 kmem 15 sudo 27 www-data 33 backup 34 operator 37 list 38 " +
		"irc 39 src 40 shadow 42 utmp 43 video 44 plugdev 46 staff 50 games 60 users 100 nogroup 65534"
	if im.manager != "apt" {
		users = "root 0 bin 1 daemon 2 adm 3 lp 4 sync 5 shutdown 6 halt 7 mail 8 operator 11 games 12 ftp 14 nobody 65534"
		groups = "root 0 bin 1 daemon 2 sys 3 adm 4 tty 5 disk 6 lp 7 mem 8 kmem 9 wheel 10 cdrom 11 mail 12 man 15 dialout 18 floppy 19 games 20 tape 33 video 39 " +
			"ftp 50 lock 54 audio 63 users 100 nobody 65534"
	}
	im.file("/etc/passwd", lines(users, "%[1]s:x:%[2]s:%[2]s:%[1]s:/:/usr/sbin/nologin\n", "root:x:0:0:root:/root:/bin/bash\n"), 0o644)
	im.file("/etc/group", lines(groups, "%s:x:%s:\n", "root:x:0:\n"), 0o644)
}

// lines makes a line of each name and number; root's is given.
func lines(pairs, format, root string) string {
	f := strings.Fields(pairs)
	var b strings.Builder
	b.WriteString(root)
	for i := 2; i < len(f); i += 2 {
		fmt.Fprintf(&b, format, f[i], f[i+1])
	}
	return b.String()
}

// account adds the user and the group that a package makes for its daemon.
func (h *Host) account(of string) error {
	name := map[string]string{"haproxy": "haproxy", "chrony": "_chrony"}[of]
	if name == "chrony" && h.o.Image.manager != "apt" {
		name = "chrony"
	}
	if name == "" || strings.Contains(h.Text("/etc/passwd"), "\n"+name+":") {
		return nil
	}
	number := strconv.Itoa(100 + len(h.Text("/etc/passwd"))%800)
	if err := h.write("/etc/passwd", h.Text("/etc/passwd")+name+":x:"+number+":"+number+"::/:/usr/sbin/nologin\n", task.Attr{}); err != nil {
		return err
	}
	return h.write("/etc/group", h.Text("/etc/group")+name+":x:"+number+":\n", task.Attr{})
}
