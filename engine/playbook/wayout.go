package playbook

import (
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/syntax"
)

// otherBracesRE are expressions as other tools write them; the names are ours, so that they are hardly meant for another.
var otherBracesRE = regexp.MustCompile(`(?:^|[^$])(\{\{-?\s*(?:host|hosts|groups|inputs|tasks|item|run)\b(?:[.\[][^}]*)?\s*-?\}\})|(?:^|[^$])(\$\{\s*(?:host|hosts|groups|inputs|tasks)\.[^}]*\})`)

// otherBraces warns of {{ host.name }} and ${host.name} in a text, where they stay what they are.
func (l *loader) otherBraces(n *syntax.Node) {
	if n.Kind != syntax.Scalar || !strings.Contains(n.Text, "{") {
		return
	}
	m := otherBracesRE.FindStringSubmatchIndex(n.Text)
	if m == nil {
		return
	}
	at := m[2:4]
	if at[0] < 0 {
		at = m[4:6]
	}
	found := n.Text[at[0]:at[1]]
	inside := strings.Trim(found, "${}- ")
	l.diags.Warnf(n.Locate(at[0]), "`%s` stays as it is: it is no expression of kflow", found).Hintf("write ${{ %s }}", inside).Len = len(found)
}

// whereFiles is the way out for a file that is not there: one of nearly that name, else where paths begin. at is where it is
// named; without a line that is the command line.
func whereFiles(path string, err error, at diag.Pos) string {
	if !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if hint := diag.NearFile(path); hint != "" {
		return hint
	}
	if at.Known() && !filepath.IsAbs(path) {
		return "a path begins at the folder of the file it is written in"
	}
	return ""
}

// wayOut says what to write instead of a text that is not of the type; "" where the message says enough.
func wayOut(want *shape.Type, text string, site Site) string {
	switch {
	case want.Kind == shape.Bool:
		return diag.TrueOrFalse(text)
	case len(want.Enum) > 0:
		if near := diag.Nearest(text, want.Enum); near != "" {
			return "did you mean `" + near + "`?"
		}
		return ""
	}
	switch want.Format {
	case "duration":
		if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 {
			return "with its unit: `" + text + "s`, `" + text + "m` or `" + text + "h`"
		}
	case "mode":
		if octal := strings.TrimPrefix(text, "0o"); octal != text {
			return `write "0` + octal + `"`
		}
	case "path":
		if site.Task == nil {
			return "a `path` is one on a host, and begins with `/`; a file beside the playbook is a `string`"
		}
		return "it begins with `/`, and neither `~` nor `$HOME` has a meaning in it"
	case "ip":
		if p, err := netip.ParsePrefix(text); err == nil {
			return "this is a range (`cidr`); the address alone is `" + p.Addr().String() + "`"
		}
	case "cidr":
		if _, err := netip.ParseAddr(text); err == nil {
			return "how many bits are the network's stands behind it: `" + text + "/24`"
		}
	case "url":
		if !strings.Contains(text, "://") {
			return "it begins with `https://` or `http://`"
		}
	}
	return ""
}
