package kubectlapply

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/kube"
	"github.com/kflow/kflow/tasks/internal/notyet"
	"github.com/kflow/kflow/tasks/internal/textdiff"
)

const (
	askPatience   = 30 * time.Second
	applyPatience = 3 * time.Minute
)

func (p *Apply) client() kube.Client { return kube.Client{Kubeconfig: p.Kubeconfig} }

// Changes implements task.Task.
func (p *Apply) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	objects, secret, err := p.objects(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := p.client().Have(ctx, h); err != nil {
		return nil, err
	}
	absent, rest, err := p.split(ctx, h, objects)
	if err != nil {
		return nil, err
	}
	diff, changed, err := p.diff(ctx, h, rest)
	if err != nil {
		return nil, err
	}
	for _, o := range absent {
		changed = append(changed, o.String())
		diff += "+ " + o.String() + "\n"
	}
	if len(changed) == 0 {
		return nil, nil
	}
	return []task.Change{{
		Summary: summary(changed, len(objects)), Diff: textdiff.Cut(diff), Secret: secret,
		Apply: func(ctx context.Context, h task.Host) error { return p.apply(ctx, h, objects) },
	}}, nil
}

func summary(changed []string, all int) string {
	const most = 5
	names := changed
	if len(names) > most {
		names = append(slices.Clone(names[:most]), "..")
	}
	return fmt.Sprintf("apply %d of %d objects: %s", len(changed), all, strings.Join(names, ", "))
}

// split takes out what cannot be compared because its definition or namespace, of the same manifest, is not in the
// cluster.
func (p *Apply) split(ctx context.Context, h task.Host, objects []kube.Object) (absent, rest []kube.Object, err error) {
	var crds, namespaces []string
	for _, o := range objects {
		switch o.Kind() {
		case "CustomResourceDefinition":
			crds = append(crds, o.Name())
		case "Namespace":
			namespaces = append(namespaces, o.Name())
		}
	}
	noCRD, err := p.missing(ctx, h, "customresourcedefinition", crds)
	if err != nil {
		return nil, nil, err
	}
	noNamespace, err := p.missing(ctx, h, "namespace", namespaces)
	if err != nil {
		return nil, nil, err
	}
	newKinds := map[string]bool{}
	for _, o := range objects {
		if o.Kind() == "CustomResourceDefinition" && slices.Contains(noCRD, o.Name()) {
			newKinds[definedKind(o)] = true
		}
	}
	for _, o := range objects {
		namespace := o.Namespace()
		if namespace == "" {
			namespace = p.Namespace
		}
		if o.Kind() == "CustomResourceDefinition" && slices.Contains(noCRD, o.Name()) || newKinds[o.Group()+"/"+o.Kind()] ||
			o.Kind() == "Namespace" && slices.Contains(noNamespace, o.Name()) || slices.Contains(noNamespace, namespace) {
			absent = append(absent, o)
		} else {
			rest = append(rest, o)
		}
	}
	return absent, rest, nil
}

// definedKind is group/kind of what a definition defines.
func definedKind(crd kube.Object) string {
	spec, _ := crd["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	return fmt.Sprint(spec["group"], "/", names["kind"])
}

// missing are those of names that are not in the cluster.
func (p *Apply) missing(ctx context.Context, h task.Host, kind string, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var o task.Output
	c := p.client()
	err := kube.Patiently(ctx, h, askPatience, func() (err error) {
		o, err = c.Run(ctx, h, c.Query(append([]string{"get", kind, "--ignore-not-found", "-o", "name"}, names...)...))
		return err
	})
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, line := range strings.Fields(o.Stdout) {
		_, name, _ := strings.Cut(line, "/")
		there[name] = true
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return there[n] }), nil
}

// diff asks the server what applying would change.
func (p *Apply) diff(ctx context.Context, h task.Host, objects []kube.Object) (diff string, changed []string, err error) {
	if len(objects) == 0 {
		return "", nil, nil
	}
	input, err := kube.ListJSON(objects)
	if err != nil {
		return "", nil, err
	}
	var o task.Output
	err = kube.Patiently(ctx, h, askPatience, func() (err error) {
		c := p.client().Query(p.args("diff")...).WithStdin(input).WithEnv("KUBECTL_EXTERNAL_DIFF=diff -u -N")
		o, err = p.client().Do(ctx, h, c)
		if err == nil && (o.Code > 1 || o.Code == 1 && strings.TrimSpace(o.Stdout) == "") {
			return failure(kube.NewAPIError(c, o))
		}
		return err
	})
	if err != nil {
		return "", nil, early(err)
	}
	diff, changed = readDiff(o.Stdout, objects)
	return diff, changed, nil
}

var (
	noNamespace = regexp.MustCompile(`namespaces "([^"]+)" not found`)
	noKind      = regexp.MustCompile(`no matches for kind "([^"]+)" in version "([^"/]+)/[^"]+"`)
)

// early tells what an earlier task has to make from what is wrong: a namespace, and the definition of a kind that is not
// Kubernetes' own. A plan says so then.
func early(err error) error {
	var e *kube.APIError
	if !errors.As(err, &e) || e.Reason != kube.NotFound {
		return err
	}
	f, resource := *e.Failure, ""
	if m := noNamespace.FindStringSubmatch(f.Output); m != nil {
		resource = "object:Namespace " + m[1]
	}
	if m := noKind.FindStringSubmatch(f.Output); m != nil && strings.Contains(m[2], ".") && !strings.HasSuffix(m[2], ".k8s.io") {
		resource = "object:CustomResourceDefinition of " + m[1]
	}
	if resource == "" {
		return err
	}
	n := notyet.Failf(resource, "%s", f.Summary)
	n.Output, n.Hint = f.Output, f.Hint
	return n
}

// args are the arguments of kubectl diff and kubectl apply.
func (p *Apply) args(verb string) []string {
	args := []string{verb, "-f", "-"}
	if p.Namespace != "" {
		args = append([]string{"-n", p.Namespace}, args...)
	}
	if p.ServerSide {
		args = append(args, "--server-side")
		if p.ForceConflicts {
			args = append(args, "--force-conflicts")
		}
	}
	return args
}

// readDiff makes the output of kubectl diff fit for people: without temporary file names and times, without the copy of
// the object in its annotation, and without the data of Secrets. changed names the objects.
func readDiff(out string, objects []kube.Object) (diff string, changed []string) {
	var b strings.Builder
	secret := false
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, "diff "):
			name, isSecret := objectOf(line, objects)
			changed, secret = append(changed, name), isSecret
			b.WriteString(name + "\n")
			if secret {
				b.WriteString("  (data of a Secret)\n")
			}
		case secret, strings.HasPrefix(line, "--- /"), strings.HasPrefix(line, "+++ /"), strings.Contains(line, `{"apiVersion":`):
		default:
			b.WriteString(line)
		}
	}
	return b.String(), changed
}

// objectOf names the object in a line `diff -u -N /tmp/LIVE-1/apps.v1.DaemonSet.kube-system.calico-node ...`.
func objectOf(line string, objects []kube.Object) (name string, secret bool) {
	f := strings.Fields(line)
	file := f[len(f)-1]
	file = file[strings.LastIndexByte(file, '/')+1:]
	for _, o := range objects {
		if strings.Contains(file, "."+o.Kind()+".") && strings.HasSuffix(file, "."+o.Name()) {
			return o.String(), o.Kind() == "Secret"
		}
	}
	return file, strings.Contains(file, ".Secret.")
}

// apply applies the objects: first what others need to be there.
func (p *Apply) apply(ctx context.Context, h task.Host, objects []kube.Object) error {
	var first, rest []kube.Object
	wait := []string{"wait", "--for=condition=Established", "--timeout=60s"}
	crds := len(wait)
	for _, o := range objects {
		switch o.Kind() {
		case "CustomResourceDefinition":
			wait = append(wait, "customresourcedefinition/"+o.Name())
			first = append(first, o)
		case "Namespace":
			first = append(first, o)
		default:
			rest = append(rest, o)
		}
	}
	if err := p.send(ctx, h, first); err != nil {
		return err
	}
	if c := p.client(); len(wait) > crds {
		if _, err := c.Run(ctx, h, c.Watch(wait...)); err != nil {
			return err
		}
	}
	return p.send(ctx, h, rest)
}

// send applies objects, again while the API cannot be asked: applying twice is harmless.
func (p *Apply) send(ctx context.Context, h task.Host, objects []kube.Object) error {
	if len(objects) == 0 {
		return nil
	}
	input, err := kube.ListJSON(objects)
	if err != nil {
		return err
	}
	c := p.client()
	return kube.Patiently(ctx, h, applyPatience, func() error {
		_, err := c.Run(ctx, h, c.Cmd(p.args("apply")...).WithStdin(input).Streamed())
		return failure(err)
	})
}

// failure adds what to do about errors of kubectl apply.
func failure(err error) error {
	var e *kube.APIError
	if !errors.As(err, &e) || e.Reason == kube.Unreachable {
		return err
	}
	for _, a := range []struct{ text, hint string }{
		{"Too long: must have at most", "the annotation that kubectl keeps is limited to 256 KiB: set server_side: true"},
		{"is being terminated", "the namespace is being deleted: wait until it is gone (`kubectl get namespace`; what has finalizers keeps it), then resume"},
		{"exceeded quota", "a ResourceQuota of the namespace is used up: `kubectl describe quota -n NAMESPACE`"},
		{"violates PodSecurity", "the namespace enforces a Pod Security level that these pods do not keep: label the namespace (pod-security.kubernetes.io/enforce), or change the pods"},
		{"denied the request", "an admission webhook forbids it, and says why: that is a rule of this cluster"},
		{"object is being deleted", "wait until it is gone, then resume; finalizers may keep it (`kubectl get -o yaml`)"},
		{"cannot use generate name with apply", "objects that are applied need a name: give metadata.name instead of generateName"},
		{"field is immutable", "this field of an object cannot change: delete the object first (`kubectl: {delete: ..}`), then resume"},
		{"no matches for kind", "the cluster does not have this kind: is its CustomResourceDefinition in the manifest, and does apiVersion fit this version of Kubernetes?"},
		{"conflict with", "another manager owns these fields: set force_conflicts: true to take them over, or leave them out"},
		{"executable file not found", "kubectl diff needs the program diff: install the package diffutils"},
		{"failed calling webhook", "an admission webhook does not answer: look at the pods behind it"},
		{"unable to decode", "an object of the manifest does not fit its kind: look at the field that is named"},
		{"ValidationError", "an object of the manifest does not fit its kind in this version of Kubernetes: look at the field that is named"},
		{"does not match the namespace", "leave namespace out: the manifest names its own"},
		{"unknown flag: --server-side", "server_side needs kubectl 1.18 or later"},
		{"doesn't support dry-run", "an admission webhook has side effects, so kubectl diff cannot ask the server: set sideEffects: None on it"},
		{"does not support dry run", "an admission webhook has side effects, so kubectl diff cannot ask the server: set sideEffects: None on it"},
		{"unknown command \"diff\" for", "kubectl is too old: kubectl diff needs 1.13"},
		{"not found", "a namespace or kind that the manifest uses is not in the cluster: create it earlier, or in the same manifest"},
	} {
		if strings.Contains(e.Output, a.text) {
			e.Hint = a.hint
			return e
		}
	}
	return err
}
