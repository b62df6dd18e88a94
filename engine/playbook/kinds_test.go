package playbook_test

import (
	"context"

	"github.com/kflow/kflow/engine/task"
)

// The kinds of these tests have parameters of every sort and do nothing.

type nothing struct{}

func (nothing) Changes(context.Context, task.Host) ([]task.Change, error) { return nil, nil }

type fileKind struct {
	nothing
	Path    string        `json:"path" kf:"required,format=path" doc:"where"`
	Mode    task.Mode     `json:"mode" default:"0644" doc:"permissions"`
	Content *task.Content `json:"content" kf:"arm=what,format=content" doc:"text"`
	Source  *task.Content `json:"source" kf:"arm=what,format=source" doc:"a file"`
	Templ   *task.Content `json:"template" kf:"arm=what,format=template" doc:"a template"`
	Absent  bool          `json:"absent" kf:"arm=what" doc:"gone"`
}

type sysctlKind struct {
	nothing
	File   string         `json:"file" kf:"format=path" doc:"file"`
	Values map[string]any `json:"values" kf:"required,short" doc:"keys and values"`
}

type modprobeKind struct {
	nothing
	Names task.Strings `json:"names" kf:"required,short,min=1" doc:"modules"`
}

type hostnameKind struct {
	nothing
	Name string `json:"name" kf:"required,short" doc:"the name"`
}

type commandKind struct {
	nothing
	Argv    []string          `json:"argv" kf:"required,short,min=1" doc:"program and arguments"`
	Count   int               `json:"count" kf:"min=1" doc:"a number"`
	Ratio   float64           `json:"ratio" doc:"a ratio"`
	Wait    task.Duration     `json:"wait" default:"1s" doc:"how long"`
	Version string            `json:"version" kf:"format=version" doc:"version"`
	Subnet  string            `json:"subnet" kf:"format=cidr" doc:"range"`
	Policy  string            `json:"policy" kf:"enum=Always|Never" doc:"policy"`
	Shell   bool              `json:"shell" doc:"by a shell"`
	Env     map[string]string `json:"env" doc:"environment"`
	Free    any               `json:"free" doc:"anything"`
	To      string            `json:"to" kf:"format=local" doc:"path here"`
}

type commandOutputs struct {
	Stdout string `json:"stdout"`
	Code   int    `json:"code"`
}

type assertKind struct {
	nothing
	Checks []check `json:"checks" kf:"required,short,min=1" doc:"conditions"`
}

type check struct {
	That    task.Condition `json:"that" kf:"required,short,format=condition" doc:"condition"`
	Message string         `json:"message" doc:"message"`
}

type kubeadmKind struct {
	nothing
	Init  *initArm  `json:"init" kf:"arm=arm" doc:"init"`
	Join  *joinArm  `json:"join" kf:"arm=arm" doc:"join"`
	Token *tokenArm `json:"token" kf:"arm=arm" doc:"token"`
}

type initArm struct {
	Version string `json:"version" kf:"format=version" doc:"version"`
}

type joinArm struct {
	Role string       `json:"role" kf:"required,enum=worker|control_plane" doc:"role"`
	From *tokenValues `json:"from" kf:"lazy" doc:"token"`
}

type tokenArm struct {
	TTL task.Duration `json:"ttl" doc:"life"`
}

type tokenValues struct {
	Endpoint string `json:"endpoint" doc:"address"`
	Token    string `json:"token" kf:"secret" doc:"token"`
}

// SecretOutputs: those of the arm token are.
func (k *kubeadmKind) SecretOutputs() bool { return k.Token != nil }

func kinds() *task.Registry {
	return task.NewRegistry(
		task.Kind{Name: "file", New: func() task.Task { return new(fileKind) }},
		task.Kind{Name: "sysctl", New: func() task.Task { return new(sysctlKind) }},
		task.Kind{Name: "modprobe", New: func() task.Task { return new(modprobeKind) }},
		task.Kind{Name: "hostname", New: func() task.Task { return new(hostnameKind) }},
		task.Kind{Name: "command", New: func() task.Task { return new(commandKind) }, Outputs: commandOutputs{}},
		task.Kind{Name: "assert", New: func() task.Task { return new(assertKind) }},
		task.Kind{Name: "kubeadm", New: func() task.Task { return new(kubeadmKind) }, Outputs: tokenValues{}},
	)
}
