package expr_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/expr"
)

func onScope() *expr.Scope {
	s := scope()
	s.BareGroups, s.Static, s.NoHost, s.Item, s.Result = true, true, true, nil, nil
	return s
}

// groupsEnv is three control planes c0 to c2 and three workers w0 to w2 in zones a, b, c.
func groupsEnv() expr.Env {
	groups := map[string][]string{"all": {"c0", "c1", "c2", "w0", "w1", "w2"}, "control_plane": {"c0", "c1", "c2"}, "workers": {"w0", "w1", "w2"}, "empty": {}}
	e := expr.HostsEnv(groups, func(name string) map[string]any {
		return host(name, strings.NewReplacer("0", "a", "1", "b", "2", "c").Replace(name[1:]))
	})
	e["inputs"] = map[string]any{"port": 1, "ha": false}
	return e
}

func TestEvalHosts(t *testing.T) {
	for text, want := range map[string]string{
		`workers`:                                "w0 w1 w2",
		`groups.workers`:                         "w0 w1 w2",
		`hosts`:                                  "c0 c1 c2 w0 w1 w2",
		`all`:                                    "c0 c1 c2 w0 w1 w2",
		`control_plane[0]`:                       "c0",
		`control_plane[-1]`:                      "c2",
		`control_plane[7]`:                       "",
		`control_plane[inputs.port]`:             "c1",
		`control_plane[inputs.port + 9]`:         "",
		`control_plane[1:]`:                      "c1 c2",
		`control_plane[5:]`:                      "",
		`control_plane[:2]`:                      "c0 c1",
		`empty`:                                  "",
		`empty[0]`:                               "",
		`all - workers`:                          "c0 c1 c2",
		`all - control_plane[0]`:                 "c1 c2 w0 w1 w2",
		`control_plane[0] + workers`:             "c0 w0 w1 w2",
		`workers + control_plane + workers`:      "w0 w1 w2 c0 c1 c2",
		`workers - control_plane[9]`:             "w0 w1 w2",
		`where(all, .vars.zone == "a")`:          "c0 w0",
		`where(workers, .name != "w1")`:          "w0 w2",
		`reverse(workers)`:                       "w2 w1 w0",
		`first(workers)`:                         "w0",
		`inputs.ha ? control_plane : workers`:    "w0 w1 w2",
		`inputs.ha ? control_plane : workers[0]`: "w0",
		`sort_by(all, .vars.zone)`:               "c0 w0 c1 w1 c2 w2",
	} {
		s := onScope()
		s.Groups = append(s.Groups, "empty")
		got, err := expr.EvalHosts(checked(t, text, s), groupsEnv())
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s = %v, %v; want %s", text, got, err, want)
		}
	}
}

func TestOnErrors(t *testing.T) {
	for text, want := range map[string]string{
		`wrokers`:                     "unknown name `wrokers` (did you mean `workers`?)",
		`localhost`:                   "unknown name `localhost` (known here: all, control_plane, groups, hosts, inputs, workers; a group is declared under `groups`, a host is chosen by where(all, .name == \"localhost\"))",
		`all and workers`:             "want true or false, this is a list of hosts (hosts are put together with `+`, and taken away with `-`: all - workers)",
		`host.facts.cpus > 2`:         "`host` is not known here: this is computed once, not for each host (`where(all, .vars.zone == \"a\")` chooses hosts; what depends on facts belongs into `when`)",
		`workers[0].name`:             "want hosts, this is text",
		`"w1"`:                        "want hosts, this is text",
		`len(workers)`:                "want hosts, this is a whole number",
		`where(all, .facts.cpus > 1)`: "`facts` is not known here: facts are known once a host is reached; here only the inventory is",
		`reachable(workers)`:          "`reachable` is for `at`",
		`map(workers, .name)`:         "want hosts, this is a list of text",
		`workers[0] - 1`:              "`-` wants two numbers or two lists, not a host and a whole number",
	} {
		diags := parse(t, text).Check(onScope(), nil)
		if err := diags.Err(); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestEvalPlace(t *testing.T) {
	for text, want := range map[string]expr.Place{
		`controller`:                          {Controller: true},
		`control_plane[0]`:                    {Hosts: []string{"c0"}},
		`where(all, .name == "w1")`:           {Hosts: []string{"w1"}},
		`reachable(control_plane)`:            {Reachable: true, Hosts: []string{"c0", "c1", "c2"}},
		`reachable(all - control_plane)`:      {Reachable: true, Hosts: []string{"w0", "w1", "w2"}},
		`inputs.ha ? controller : workers[0]`: {Hosts: []string{"w0"}},
	} {
		s := onScope()
		s.Place = true
		got, err := expr.EvalPlace(checked(t, text, s), groupsEnv())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %+v, %v; want %+v", text, got, err, want)
		}
	}
	s := onScope()
	s.Place = true
	for text, want := range map[string]string{
		`workers`:          "`workers`: `at` wants one host, here are 3 hosts: reachable() takes the first that is up",
		`control_plane[8]`: "`control_plane[8]`: `at` wants one host, here are no hosts: reachable() takes the first that is up",
	} {
		if _, err := expr.EvalPlace(checked(t, text, s), groupsEnv()); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A thousand hosts minus a thousand hosts is no million comparisons.
func BenchmarkEvalHosts(b *testing.B) {
	groups := map[string][]string{}
	for i := range 10000 {
		n := fmt.Sprint("h", i)
		groups["all"] = append(groups["all"], n)
		if i%2 == 0 {
			groups["workers"] = append(groups["workers"], n)
		}
	}
	env := expr.HostsEnv(groups, func(name string) map[string]any { return map[string]any{"name": name, "vars": map[string]any{}} })
	e, _ := expr.Parse(`all - workers`, nil)
	if diags := e.Check(onScope(), nil); diags.HasErrors() {
		b.Fatal(diags.Err())
	}
	for b.Loop() {
		if names, err := expr.EvalHosts(e, env); err != nil || len(names) != 5000 {
			b.Fatal(len(names), err)
		}
	}
}
