package playbook

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/shape"
)

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
