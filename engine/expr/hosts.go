package expr

import "maps"

// EvalHosts computes an expression of `on` and returns the names of the hosts, in its order, each once. An index out of
// range, and nil, are no hosts. Errors: *Error.
func EvalHosts(e *Expr, env Env) ([]string, error) {
	v, err := e.run(env)
	if err != nil {
		return nil, err
	}
	return e.names(v)
}

// names turns a host, or a list of hosts, into names.
func (e *Expr) names(v any) ([]string, error) {
	list, ok := asHosts(v, true).([]any)
	if !ok {
		return nil, e.fail(e.whole, harmlessf("want hosts, this is %s", withArticle(sortOf(v))))
	}
	out := make([]string, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, x := range list {
		h, _ := x.(map[string]any)
		name, ok := h["name"].(string)
		if !ok {
			return nil, e.fail(e.whole, harmlessf("want hosts, here is %s among them", withArticle(sortOf(x))))
		}
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out, nil
}

// Place is where `at` carries a task out: on the controller, on the first of Hosts that can be reached, or on the one
// host in Hosts.
type Place struct {
	Controller bool
	Reachable  bool
	Hosts      []string
}

// placeValue is what `controller` and reachable() give.
type placeValue struct {
	controller bool
	hosts      []any
}

// EvalPlace computes an expression of `at`. Errors: *Error, also when it is not exactly one host.
func EvalPlace(e *Expr, env Env) (Place, error) {
	withPlace := maps.Clone(env)
	if withPlace == nil {
		withPlace = Env{}
	}
	withPlace["controller"] = placeValue{controller: true}
	v, err := e.run(withPlace)
	if err != nil {
		return Place{}, err
	}
	place, special := v.(placeValue)
	if special && place.controller {
		return Place{Controller: true}, nil
	}
	if special {
		v = place.hosts
	}
	names, err := e.names(v)
	if err != nil {
		return Place{}, err
	}
	if !special && len(names) != 1 {
		return Place{}, e.fail(e.whole, harmlessf("`at` wants one host, here are %s: reachable() takes the first that is up", counted(len(names), "host", "hosts")))
	}
	return Place{Reachable: special, Hosts: names}, nil
}

// HostsEnv is the environment of `on` and `at`: each group bare and in `groups`, and `hosts`, the group all. host gives
// the members of a host that are known when the playbook is read: name, address, node_ip, groups, vars. Build it once
// for all expressions.
func HostsEnv(groups map[string][]string, host func(name string) map[string]any) Env {
	env, byName := Env{}, map[string]any{}
	lists := map[string]any{}
	for group, names := range groups {
		list := make([]any, len(names))
		for i, n := range names {
			if byName[n] == nil {
				byName[n] = host(n)
			}
			list[i] = byName[n]
		}
		lists[group], env[group] = list, list
	}
	env["groups"], env["hosts"] = lists, lists["all"]
	return env
}
