package waitfor

import (
	"fmt"
	"strings"
	"testing"
)

func TestManyNodesAreOneLine(t *testing.T) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("wn%05d", i)
	}
	if got := (&Nodes{Names: names[:10]}).String(); strings.Count(got, ",") != 9 || strings.Contains(got, "more") {
		t.Errorf("ten: %s", got)
	}
	if got := (&Nodes{Names: names}).String(); !strings.HasSuffix(got, "wn00008, wn00009 and 9990 more") {
		t.Errorf("many: %.300s", got)
	}
}
