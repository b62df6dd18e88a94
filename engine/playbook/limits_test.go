package playbook_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/playbook"
)

// loadText loads play.yaml; read gives the parts.
func loadText(read func(path string) string) []diag.Diagnostic {
	_, _, found := playbook.Load(context.Background(), "play.yaml", playbook.Options{Kinds: kinds(), Read: func(path string) ([]byte, error) {
		return []byte("kflow: v1\nname: x\ntasks:\n" + read(path)), nil
	}})
	return found.Sorted()
}

func TestPartsInParts(t *testing.T) {
	depth := 0
	found := loadText(func(string) string {
		depth++
		return fmt.Sprintf("  - {id: n, use: part%d.yaml}\n", depth)
	})
	if len(found) != 1 || found[0].Summary != "parts in parts, more than 32 deep" {
		t.Errorf("%v", found)
	}
}

func TestALongCycleIsShownInPart(t *testing.T) {
	found := loadText(func(string) string {
		var b strings.Builder
		for i := range 500 {
			fmt.Fprintf(&b, "  - {id: t%d, needs: [t%d], command: ls}\n", i, (i+1)%500)
		}
		return b.String()
	})
	if len(found) != 1 || len(found[0].Notes) != 20 || !strings.HasSuffix(found[0].Summary, "t19 → (480 more) → t0") {
		t.Errorf("%v", found)
	}
}

func TestTooManyValues(t *testing.T) {
	found := loadText(func(string) string {
		return "  - {id: t, command: &x [" + strings.Repeat("a, ", 1000) + "]}\n" + strings.Repeat("  - {id: t, command: *x}\n", 250)
	})
	if len(found) != 1 || found[0].Summary != "aliases make more than 200000 values of this file" {
		t.Errorf("%d findings, the first %v", len(found), found[0])
	}
}
