package run_test

import (
	"fmt"
	"strings"
	"testing"
)

// mounted is a block whose finally undoes what its first step has done.
const mounted = `
  - {id: config, put: {key: config, value: "${{ host.vars.config }}"}}
  - id: block
    steps:
      - {id: mount, act: mount}
      - {id: work, needs: [config], put: {key: work, value: "${{ host.vars.work }}"}}
      - {id: umount, run: always, act: umount}
  - {id: apart, put: {key: apart}}
  - {id: behind, needs: [block], put: {key: behind}}
`

func TestAStepThatRunsAgainNeedsTheStepsThatItsFinallyHasUndone(t *testing.T) {
	const reused = "block/mount@h1 reused, block/mount@h2 reused, block/umount@h1 reused, block/umount@h2 reused, block/work@h1 reused, block/work@h2 reused"
	onH1 := strings.NewReplacer("mount@h1 reused", "mount@h1 changed", "work@h1 reused", "work@h1 changed")
	for name, c := range map[string]struct{ host, old, new, ends string }{
		"nothing has changed": {"", "", "", reused},
		"the step":            {"h1 work=2 config=1", "", "", onH1.Replace(reused)},
		"what it needs":       {"h1 work=1 config=2", "", "", strings.Replace(onH1.Replace(reused), "work@h1 changed", "work@h1 ok", 1)},
		"the finally":         {"", "act: umount", "act: umount -f", strings.ReplaceAll(reused, "umount@h1 reused, block/umount@h2 reused", "umount@h1 changed, block/umount@h2 changed")},
		"a step more": {"", "      - {id: umount", "      - {id: more, put: {key: more}}\n      - {id: umount",
			"block/more@h1 changed, block/more@h2 changed, block/mount@h1 changed, block/mount@h2 changed, " +
				"block/umount@h1 changed, block/umount@h2 changed, block/work@h1 ok, block/work@h2 ok"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, "h1 work=1 config=1", "h2 work=1 config=1")
				broken(s)
				s.program("mount", says(""))
				s.program("umount", says(""))
				book := mounted + fmt.Sprintf(after, "block")
				r := s.run(book)
				if c.host != "" {
					s.hosts[0] = c.host
				}
				changed := strings.Replace(book, c.old, c.new, 1)
				got := s.resume(changed, r.id)
				var ends []string
				for line := range strings.Lines(got.ends()) {
					if strings.HasPrefix(line, "block") {
						ends = append(ends, strings.TrimSpace(line))
					}
				}
				if text := strings.Join(ends, ", "); text != c.ends || got.Exit != 0 {
					t.Errorf("exit %d\n%s, want\n%s", got.Exit, text, c.ends)
				}
				if !strings.Contains(got.ends(), "apart@h1 reused") {
					t.Error("what has nothing to do with it ran again")
				}
				if again := s.resume(changed, r.id); strings.Contains(again.ends(), "changed") {
					t.Errorf("a further resume does something:\n%s", again.ends())
				}
			})
		})
	}
}

func TestAFinallyThatWasCutOffHasUndoneItsBlock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, "h1")
		broken(s)
		s.program("mount", says(""))
		s.program("umount", says(""))
		book := `
  - id: block
    steps:
      - {id: mount, act: mount}
      - {id: work, act: mends}
      - {id: umount, run: always, act: {run: umount, rerun: safe}}
`
		id := s.killedAfterStart("block/umount@h1", book)
		s.resume(book, id).want(0, `
			block/mount@h1 changed
			block/work@h1 changed
			block/umount@h1 changed
		`)
	})
}

// TestWhatWasSkippedUndoesNothing: a block with a finally that waits for what was skipped, in whichever way, is not done again
// where it was done, and starts at its first step where it was not.
func TestWhatWasSkippedUndoesNothing(t *testing.T) {
	for name, before := range map[string]string{
		"a task":            `  - {id: before, when: "false", put: {key: x}}`,
		"a block":           `  - {id: before, when: "false", steps: [{id: a, put: {key: x}}, {id: b, when: "true", put: {key: y}}]}`,
		"for a failure":     `  - {id: before, steps: [{id: a, put: {key: x}}, {id: b, run: on_failure, put: {key: y}}]}`,
		"a block in one":    `  - {id: before, steps: [{id: a, put: {key: x}}, {id: b, when: "false", steps: [{id: c, put: {key: y}}]}]}`,
		"for a failure, if": `  - {id: before, steps: [{id: a, put: {key: x}}, {id: b, run: on_failure, when: "true", put: {key: y}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, "h1 work=1", "h2 work=1")
				broken(s)
				s.program("mount", says(""))
				s.program("umount", says(""))
				book := before + "\n" + `
  - id: block
    needs: [before]
    steps:
      - {id: mount, act: mount}
      - {id: work, put: {key: work, value: "${{ host.vars.work }}"}}
      - {id: umount, run: always, act: umount}
` + fmt.Sprintf(after, "block")
				r := s.run(book)
				s.hosts[0] = "h1 work=2"
				got := s.resume(book, r.id).ends()
				for _, want := range []string{
					"block/mount@h1 changed", "block/work@h1 changed", "block/umount@h1 changed",
					"block/mount@h2 reused", "block/work@h2 reused", "block/umount@h2 reused",
				} {
					if !strings.Contains(got, want) {
						t.Errorf("want %s:\n%s", want, got)
					}
				}
			})
		})
	}
}
