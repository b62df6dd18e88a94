package kinds_test

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/kflow/kflow/engine/sim/host"
)

// show looks at the hosts, as section show says.
func (r *rehearsal) show() {
	r.Helper()
	for _, line := range r.here("show") {
		name := r.p.HostNames()[0]
		if on, rest, ok := strings.Cut(line, ": "); ok && r.w.Network.Host(on) != nil {
			name, line = on, rest
		}
		h := r.w.Network.Host(name)
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(f[0], "/"):
			r.files(h, f[0])
		case f[0] == "unit" && len(f) == 2:
			r.unit(h, f[1])
		case f[0] == "package" && len(f) == 2:
			fmt.Fprintf(&r.out, "== %s\n%s\n", line, said(h.Installed(f[1]), "not installed"))
		case f[0] == "run":
			o := r.ask(h, f[1:])
			fmt.Fprintf(&r.out, "== %s\n%s", line, o.Stdout+o.Stderr)
			if o.Code != 0 {
				fmt.Fprintf(&r.out, "exit %d\n", o.Code)
			}
		default:
			r.Fatalf("%s: show: %q is no line of it", r.c.file, line)
		}
	}
}

func said(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (r *rehearsal) unit(h *host.Host, name string) {
	r.Helper()
	o := r.ask(h, []string{"systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", name})
	fmt.Fprintf(&r.out, "== unit %s\n%s", name, o.Stdout)
}

// files shows what is at a path, or at the paths that a pattern matches.
func (r *rehearsal) files(h *host.Host, pattern string) {
	r.Helper()
	names, err := h.Glob(r.Context(), pattern)
	if err != nil {
		r.Fatal(err)
	}
	if len(names) == 0 {
		fmt.Fprintf(&r.out, "== %s\nabsent\n", pattern)
	}
	for _, name := range names {
		info, err := h.Lstat(r.Context(), name)
		if err != nil {
			r.Fatal(err)
		}
		text := h.Text(name)
		switch {
		case info.Mode&fs.ModeSymlink != 0:
			text = "-> " + info.Target
		case info.Mode.IsDir():
			text = ""
		}
		fmt.Fprintf(&r.out, "== %s %v %s:%s\n%s", name, info.Mode, info.Owner, info.Group, indented(text))
	}
}

// indented keeps text apart from what surrounds it; txtar takes `-- x --` for a section.
func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		fmt.Fprintf(&b, "  %s\n", strings.TrimRight(line, "\n"))
	}
	return b.String()
}
