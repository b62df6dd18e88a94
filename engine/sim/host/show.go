package host

import (
	"path"
	"slices"
	"strings"
)

// showUnits prints properties, a block per unit; patterns match units that are loaded.
func (h *Host) showUnits(p *Proc, flags map[string]string, names []string) int {
	const usual = 256 // bytes
	p.out.Grow(usual * len(names))
	h.mu.Lock()
	defer h.mu.Unlock()
	wanted := strings.Split(flags["--property"]+flags["-p"], ",")
	blocks := 0
	for _, pattern := range names {
		matches := []string{pattern}
		if strings.ContainsAny(pattern, "*?[") {
			matches = nil
			for name := range h.units {
				if ok, _ := path.Match(pattern, name); ok {
					matches = append(matches, name)
				}
			}
			slices.Sort(matches)
		}
		for _, name := range matches {
			if blocks++; blocks > 1 {
				p.Printf("\n")
			}
			h.showUnit(p, name, wanted)
		}
	}
	return 0
}

func (h *Host) showUnit(p *Proc, name string, wanted []string) {
	s := h.shown(name)
	for _, key := range wanted {
		if value, known := s.property(key); known {
			for _, part := range [...]string{key, "=", value, "\n"} {
				p.out.WriteString(part)
			}
		}
	}
}

// shown is what systemd says of a unit.
type shown struct {
	id, load, active, sub, file, fragment, source string
	stale                                         bool // its file is another than the one that was read
}

func (h *Host) shown(name string) shown {
	s := shown{id: name, load: "not-found", active: "inactive", sub: "dead"}
	if u := h.load(name); u != nil {
		text := h.fragmentText(name)
		s.load, s.active, s.sub, s.fragment, s.file = "loaded", u.active, u.sub, h.fragment(name), h.linkState(name, text)
		if strings.HasSuffix(name, ".swap") && s.fragment == "" {
			s.fragment, s.file, s.source = "/run/systemd/generator/"+name, "generated", "/etc/fstab"
		} else {
			s.stale = u.loaded != text
		}
	}
	if h.masked(name) {
		s.load, s.file = "masked", "masked"
	}
	return s
}

func (s *shown) property(key string) (value string, known bool) {
	switch key {
	case "Id":
		return s.id, true
	case "LoadState":
		return s.load, true
	case "ActiveState":
		return s.active, true
	case "SubState":
		return s.sub, true
	case "UnitFileState":
		return s.file, true
	case "FragmentPath":
		return s.fragment, true
	case "SourcePath":
		return s.source, true
	case "NeedDaemonReload":
		if s.stale {
			return "yes", true
		}
		return "no", true
	}
	return "", false
}
