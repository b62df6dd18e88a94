package task_test

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/kflow/kflow/engine/task"
)

type decoded struct {
	Name string         `json:"name"`
	List []string       `json:"list"`
	Map  map[string]any `json:"map"`
}

func TestParametersAreDecodedEachByThemselves(t *testing.T) {
	r := task.NewRegistry()
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct{ text, err string }{
		{`{"name":"a","list":["b"]}`, ""},
		{`{"name":"c"} `, ""},
		{`{"nam":"a"}`, `json: unknown field "nam"`},
		{`{"list":["` + long + `"]}`, ""},
		{`{"name":"a"}{"name":"b"}`, "there is more than one value"},
		{`{"map":{"x":[1]}}` + "\n", ""},
		{`{"name":`, "unexpected EOF"},
		{``, "EOF"},
		{`{"name":1}`, "json: cannot unmarshal number into Go struct field decoded.name of type string"},
		{`null`, ""},
		{`{"name":"last"}`, ""},
	} {
		for range 3 {
			var got, want decoded
			err := r.Decode([]byte(c.text), &got)
			if c.err == "" {
				if strings.Contains(c.text, "name\":\"") {
					want.Name = strings.Split(c.text, `"`)[3]
				}
				if err != nil || got.Name != want.Name {
					t.Errorf("%.40s: %+v, %v", c.text, got.Name, err)
				}
			} else if fmt.Sprint(err) != c.err {
				t.Errorf("%.40s: error %v, want %s", c.text, err, c.err)
			}
		}
	}
}

// What was decoded does not lie in a buffer that is used again.
func TestDecodedParametersStayAsTheyAre(t *testing.T) {
	r := task.NewRegistry()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var all []decoded
			for i := range 200 {
				var d decoded
				text := fmt.Sprintf(`{"name":"%d-%d","list":["%d"],"map":{"%d":{"raw":"%d"}}}`, g, i, i, i, i)
				if err := r.Decode([]byte(text), &d); err != nil {
					t.Error(err)
				}
				all = append(all, d)
			}
			for i, d := range all {
				n := fmt.Sprint(i)
				if d.Name != fmt.Sprintf("%d-%d", g, i) || d.List[0] != n ||
					!reflect.DeepEqual(d.Map, map[string]any{n: map[string]any{"raw": n}}) {
					t.Errorf("%d: %+v", i, d)
				}
			}
		})
	}
	wg.Wait()
}
