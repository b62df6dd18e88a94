package kubectlapply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
)

// rewriteImages applies the rules to all containers. Each rule must find an image.
func rewriteImages(objects []kube.Object, rules []Image) error {
	used := make([]bool, len(rules))
	seen := map[string]bool{}
	for _, o := range objects {
		eachContainer(map[string]any(o), func(c map[string]any) {
			image, ok := c["image"].(string)
			if !ok {
				return
			}
			seen[image] = true
			for i, r := range rules {
				if now, ok := r.rewrite(image); ok {
					c["image"], used[i] = now, true
					return
				}
			}
		})
	}
	for i, r := range rules {
		if !used[i] {
			return task.Failf("images: no image of the manifest begins with %s", r.From).
				WithHint("the manifest has: %s", strings.Join(slices.Sorted(maps.Keys(seen)), ", "))
		}
	}
	return nil
}

// rewrite applies a rule to an image: its start up to a slash, or the whole name.
func (r Image) rewrite(image string) (string, bool) {
	name, digest, _ := strings.Cut(image, "@")
	tag := ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(r.From, "/"))
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	if r.To != "" {
		name = strings.TrimSuffix(r.To, "/") + rest
	}
	if r.Tag != "" {
		tag, digest = r.Tag, ""
	}
	if tag != "" {
		name += ":" + tag
	}
	if digest != "" {
		name += "@" + digest
	}
	return name, true
}

// eachContainer calls f for the containers below v, wherever a pod is described.
func eachContainer(v any, f func(map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			eachContainer(x, f)
		}
	case map[string]any:
		for key, x := range v {
			list, ok := x.([]any)
			if !ok || (key != "containers" && key != "initContainers" && key != "ephemeralContainers") {
				eachContainer(x, f)
				continue
			}
			for _, c := range list {
				if m, ok := c.(map[string]any); ok {
					f(m)
				}
			}
		}
	}
}

// apply changes the object that is meant.
func (e Edit) apply(objects []kube.Object) error {
	var found []kube.Object
	var kin []string
	for _, o := range objects {
		if !strings.EqualFold(o.Kind(), e.Kind) {
			continue
		}
		kin = append(kin, o.String())
		if o.Name() == e.Name && (e.Namespace == "" || o.Namespace() == e.Namespace) {
			found = append(found, o)
		}
	}
	switch {
	case len(found) == 0:
		return task.Failf("set: the manifest has no %s %s", e.Kind, e.Name).WithHint("it has: %s", orNone(kin))
	case len(found) > 1:
		return task.Failf("set: the manifest has several %s %s", e.Kind, e.Name).WithHint("name its namespace")
	}
	for _, edit := range []func(kube.Object) error{e.values, e.env, e.json} {
		if err := edit(found[0]); err != nil {
			return task.Failf("set: %s: %w", found[0], err)
		}
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none of that kind"
	}
	return strings.Join(names, ", ")
}

func (e Edit) values(o kube.Object) error {
	for _, key := range slices.Sorted(maps.Keys(e.Values)) {
		path, err := kube.ParsePath(key)
		if err != nil {
			return err
		}
		if _, err := path.Set(map[string]any(o), e.Values[key]); err != nil {
			return err
		}
	}
	return nil
}

// env sets variables of the container that is named, or of those that have them.
func (e Edit) env(o kube.Object) error {
	for _, name := range slices.Sorted(maps.Keys(e.Env)) {
		var names []string
		hits := 0
		eachContainer(map[string]any(o), func(c map[string]any) {
			container, _ := c["name"].(string)
			names = append(names, container)
			if container == e.Container || e.Container == "" && hasEnv(c, name) {
				setEnv(c, name, e.Env[name])
				hits++
			}
		})
		if hits > 0 {
			continue
		}
		if e.Container != "" {
			return fmt.Errorf("there is no container %s; there are %s", e.Container, strings.Join(names, ", "))
		}
		return fmt.Errorf("no container has the variable %s; name the container that shall get it, one of %s", name, strings.Join(names, ", "))
	}
	return nil
}

func hasEnv(c map[string]any, name string) bool { return indexEnv(c, name) >= 0 }

func indexEnv(c map[string]any, name string) int {
	list, _ := c["env"].([]any)
	return slices.IndexFunc(list, func(x any) bool {
		m, ok := x.(map[string]any)
		return ok && m["name"] == name
	})
}

func setEnv(c map[string]any, name string, value any) {
	list, _ := c["env"].([]any)
	entry := map[string]any{"name": name}
	if m, ok := value.(map[string]any); ok {
		maps.Copy(entry, m)
	} else if value != nil {
		entry["value"] = fmt.Sprint(value)
	}
	switch i := indexEnv(c, name); {
	case value == nil && i >= 0:
		list = slices.Delete(list, i, i+1)
	case value == nil:
		return
	case i >= 0:
		list[i] = entry
	default:
		list = append(list, entry)
	}
	c["env"] = list
}

// json changes JSON text in the data of a ConfigMap.
func (e Edit) json(o kube.Object) error {
	for _, key := range slices.Sorted(maps.Keys(e.JSON)) {
		data, _ := o["data"].(map[string]any)
		text, ok := data[key].(string)
		if !ok {
			return fmt.Errorf("its data has no %s", key)
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var v map[string]any
		if err := dec.Decode(&v); err != nil {
			return fmt.Errorf("%s is not a JSON object: %w", key, err)
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(merge(v, e.JSON[key])); err != nil {
			return err
		}
		data[key] = b.String()
	}
	return nil
}

// merge puts over on top of m, map by map; null removes.
func merge(m, over map[string]any) map[string]any {
	for key, value := range over {
		below, ok1 := m[key].(map[string]any)
		above, ok2 := value.(map[string]any)
		switch {
		case value == nil:
			delete(m, key)
		case ok1 && ok2:
			m[key] = merge(below, above)
		default:
			m[key] = value
		}
	}
	return m
}
