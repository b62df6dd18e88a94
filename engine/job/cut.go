package job

import (
	"fmt"
	"strings"
)

// partOfLine is how many bytes of a line that is cut off are left out rather than shown.
const partOfLine = 4 << 10

// Cut returns s if it has at most n bytes, else its beginning and end, see Ends.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return Ends(s[:n/2], s[len(s)-n/2:], int64(len(s)))
}

// Ends joins the beginning and the end of a text of total bytes, with a line between them that says how much was cut
// out. A line is not shown in part, unless it is a very long one: half of a secret would not be recognised as one.
func Ends(head, tail string, total int64) string {
	if i := strings.LastIndexByte(head, '\n'); i >= 0 && len(head)-i <= partOfLine {
		head = head[:i]
	}
	if i := strings.IndexByte(tail, '\n') + 1; i < min(len(tail), partOfLine) {
		tail = tail[i:]
	}
	return fmt.Sprintf("%s\n... %d bytes cut ...\n%s", head, total-int64(len(head)+len(tail)), tail)
}
