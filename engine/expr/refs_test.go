package expr_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestRefs(t *testing.T) {
	for text, want := range map[string]string{
		`inputs.vip`:                                 "inputs.vip@1+10",
		`host.facts.os.family == "x"`:                "host.facts.os.family@1+20",
		`host["vars"]["zone"]`:                       "host.vars.zone@1+19",
		`tasks.init.outputs.nodes[0].x`:              "tasks.init.outputs.nodes@1+24",
		`control_plane[1:]`:                          "control_plane@1+13",
		`all - workers`:                              "all@1+3 workers@7+7",
		`inputs.a[inputs.b].c`:                       "inputs.b@10+8 inputs.a@1+8",
		`tasks.a.outputs.x ?? tasks.b.outputs.y`:     "tasks.a.outputs.x?@1+17 tasks.b.outputs.y@22+17",
		`tasks.a.outputs?.x`:                         "tasks.a.outputs.x?@1+18",
		`(item ?? run.id) + 1`:                       "item?@2+4 run.id@10+6",
		`a.x ?? b.x ?? c.x`:                          "a.x?@1+3 b.x?@8+3 c.x@15+3",
		`upper(tasks.a.outputs.x) ?? "d"`:            "tasks.a.outputs.x@7+17",
		`where(groups.w, .vars.zone == inputs.zone)`: "groups.w@7+8 inputs.zone@31+11",
		`let n = inputs.a; n + inputs.b`:             "inputs.a@9+8 inputs.b@23+8",
		`{inputs: 1}`:                                "",
	} {
		var got []string
		for _, r := range parse(t, text).Refs() {
			name := strings.Join(append([]string{r.Root}, r.Path...), ".")
			if r.Optional {
				name += "?"
			}
			got = append(got, fmt.Sprintf("%s@%d+%d", name, r.Pos.Col, r.Len))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s\n mentions %s\n want     %s", text, strings.Join(got, " "), want)
		}
	}
}

func TestFiles(t *testing.T) {
	e := parse(t, `lookup_file("a.txt") + lookup_file(inputs.vip) + lookup_file('b' + "c") + lookup_file("d")`)
	if got := strings.Join(e.Files(), " "); got != "a.txt d" {
		t.Errorf("Files %s", got)
	}
}
