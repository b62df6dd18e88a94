package diag

import (
	"os"
	"path/filepath"
	"strings"
)

// Nearest returns the candidate that a person who wrote got most likely meant, or "" when none is near: at most a third
// of its letters differ (optimal string alignment distance, so a swap of two letters counts once).
func Nearest(got string, candidates []string) string {
	best, bestDistance := "", len(got)/3+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(got), strings.ToLower(c)); d < bestDistance || (d == bestDistance && best == "" && d <= 1) {
			best, bestDistance = c, d
		}
	}
	return best
}

// DidYouMean is a hint for an unknown name: the nearest candidate, else the whole list when it is short.
func DidYouMean(got string, candidates []string) string {
	if n := Nearest(got, candidates); n != "" {
		return "did you mean `" + n + "`?"
	}
	if len(candidates) > 0 && len(candidates) <= 12 {
		return "known here: " + strings.Join(candidates, ", ")
	}
	return ""
}

// NearFile is a hint for a file that is not there: one beside it of nearly that name.
func NearFile(path string) string {
	dir, base := filepath.Split(path)
	entries, _ := os.ReadDir(filepath.Clean(dir))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	if near := Nearest(base, names); near != "" && near != base {
		return "did you mean `" + dir + near + "`?"
	}
	return ""
}

// TrueOrFalse is a hint for a word that is a truth in other tools and none here.
func TrueOrFalse(word string) string {
	switch strings.ToLower(word) {
	case "yes", "on", "y", "true", "1":
		return "write `true`"
	case "no", "off", "n", "false", "0":
		return "write `false`"
	}
	return ""
}

func distance(a, b string) int {
	ar, br := []rune(a), []rune(b)
	before, last, now := make([]int, len(br)+1), make([]int, len(br)+1), make([]int, len(br)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(ar); i++ {
		now[0] = i
		for j := 1; j <= len(br); j++ {
			cost := 1
			if ar[i-1] == br[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && ar[i-1] == br[j-2] && ar[i-2] == br[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(br)]
}
