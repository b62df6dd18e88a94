// Package fold writes many host names as few: k8s-mn[01-03] k8s-wn[01-32]. Leading zeros are kept, so that what is
// folded can be read back, by people and by tools that know the notation (ClusterShell, pdsh, Slurm).
package fold

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Hosts folds names: sorted, each once, names that differ in one number together.
func Hosts(names []string) string { return strings.Join(Groups(names), " ") }

// Groups is Hosts as a list of its parts.
func Groups(names []string) []string {
	sets := map[pattern][]number{}
	for _, name := range names {
		p, n := split(name)
		sets[p] = append(sets[p], n)
	}
	patterns := make([]pattern, 0, len(sets))
	for p := range sets {
		patterns = append(patterns, p)
	}
	slices.SortFunc(patterns, func(a, b pattern) int {
		return cmp.Or(cmp.Compare(a.before, b.before), cmp.Compare(a.after, b.after))
	})
	var out []string
	for _, p := range patterns {
		for _, ns := range byWidth(sets[p]) {
			out = append(out, p.write(ns))
		}
	}
	return out
}

// pattern is a name without its number.
type pattern struct{ before, after string }

// number is the number of a name; digits is "" in a name without one. width is that of numbers written with leading
// zeros, 0 of others.
type number struct {
	digits string
	value  int
	width  int
}

// split takes a name apart at the last number of its first label (of an address: at its last number).
func split(name string) (pattern, number) {
	scope := len(name)
	if _, err := netip.ParseAddr(name); err != nil {
		if dot := strings.IndexByte(name, '.'); dot > 0 && strings.ContainsAny(name[:dot], "0123456789") {
			scope = dot
		}
	}
	end := strings.LastIndexAny(name[:scope], "0123456789") + 1
	begin := end
	for begin > 0 && end-begin < 9 && name[begin-1] >= '0' && name[begin-1] <= '9' {
		begin--
	}
	value, _ := strconv.Atoi(name[begin:end]) // at most nine digits; none is 0
	return pattern{name[:begin], name[end:]}, number{digits: name[begin:end], value: value}
}

// byWidth sorts the numbers of a pattern into sets that can be written in one bracket: those as wide as one that has
// leading zeros belong to it, all others are written as they come.
func byWidth(all []number) [][]number {
	padded := map[int]bool{}
	for _, n := range all {
		if len(n.digits) > 1 && n.digits[0] == '0' {
			padded[len(n.digits)] = true
		}
	}
	for i, n := range all {
		if padded[len(n.digits)] {
			all[i].width = len(n.digits)
		}
	}
	slices.SortFunc(all, func(a, b number) int {
		return cmp.Or(cmp.Compare(a.width, b.width), cmp.Compare(a.value, b.value), cmp.Compare(a.digits, b.digits))
	})
	all = slices.Compact(all)
	var sets [][]number
	for i, n := range all {
		if i == 0 || n.width != all[i-1].width || n.digits == "" || all[i-1].digits == "" {
			sets = append(sets, nil)
		}
		sets[len(sets)-1] = append(sets[len(sets)-1], n)
	}
	return sets
}

// write is a pattern with a sorted set of numbers.
func (p pattern) write(ns []number) string {
	if len(ns) == 1 {
		return p.before + ns[0].digits + p.after
	}
	var ranges []string
	for i := 0; i < len(ns); {
		j := i
		for j+1 < len(ns) && ns[j+1].value == ns[j].value+1 {
			j++
		}
		if i == j {
			ranges = append(ranges, ns[i].digits)
		} else {
			ranges = append(ranges, ns[i].digits+"-"+ns[j].digits)
		}
		i = j + 1
	}
	return fmt.Sprintf("%s[%s]%s", p.before, strings.Join(ranges, ","), p.after)
}
