// Package fetch is the kind fetch: it copies a file of a host to the controller, the machine kflow runs on. From there
// other hosts can be given it (file with source), or a person can use it (a kubeconfig).
package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/notyet"
)

// Kind describes the kind to the engine.
func Kind() task.Kind {
	return task.Kind{
		Name:    "fetch",
		Summary: "A file of a host, copied to the controller",
		Doc: `Copies a file from the host to the machine kflow runs on. It is compared by SHA-256 and sent only when it differs. to is
relative to the playbook; ending in / it is a directory, and the file keeps its name. When several hosts fetch, their names
belong into to ("fetched/${{ host.name }}/"), else the last one wins. Kubeconfigs and keys are secrets: the default mode is 0600.`,
		New:     func() task.Task { return new(Fetch) },
		Outputs: Outputs{},
		Examples: []task.Example{{Title: "The administrator's kubeconfig", YAML: `- id: kubeconfig
  on: control_plane[0]
  fetch: {path: /etc/kubernetes/admin.conf, to: fetched/admin.conf}
`}},
	}
}

// Outputs are the outputs.
type Outputs struct {
	Path   string `json:"path" doc:"File on the controller."`
	SHA256 string `json:"sha256" doc:"SHA-256 of its content, in hex."`
}

// Fetch are the parameters.
type Fetch struct {
	Path string    `json:"path" kf:"required,format=path" doc:"File on the host."`
	To   string    `json:"to" kf:"required,format=local" doc:"File on the controller, relative to the playbook; a directory when it ends in /."`
	Mode task.Mode `json:"mode" default:"0600" doc:"Permissions of the file on the controller."`
}

// Touches implements task.Toucher.
func (p *Fetch) Touches() task.Touches { return task.Touches{Reads: []string{"path:" + p.Path}} }

// Uses implements task.ControllerUser.
func (p *Fetch) Uses() task.ControllerUse { return task.ControllerUse{Files: []string{p.to()}} }

// to is the file on the controller.
func (p *Fetch) to() string {
	if strings.HasSuffix(p.To, "/") {
		return p.To + path.Base(p.Path)
	}
	return p.To
}

// Changes implements task.Task.
func (p *Fetch) Changes(ctx context.Context, h task.Host) ([]task.Change, error) {
	mode, err := p.Mode.FileMode()
	if err != nil {
		return nil, err
	}
	here, err := p.hash(ctx, h)
	if err != nil {
		return nil, err
	}
	there, err := h.Controller().Stat(ctx, p.to())
	if err != nil || here == there {
		return nil, err
	}
	diff := "new file"
	if there != "" {
		diff = "sha256 " + there + " -> " + here
	}
	return []task.Change{{
		Summary: "fetch " + p.Path + " to " + p.To, Diff: diff,
		Apply: func(ctx context.Context, h task.Host) error {
			r, err := h.OpenFile(ctx, p.Path)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			return h.Controller().Save(ctx, p.to(), mode, r)
		},
	}}, nil
}

// hash is the SHA-256 of the file on the host.
func (p *Fetch) hash(ctx context.Context, h task.Host) (string, error) {
	r, err := h.OpenFile(ctx, p.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", notyet.Failf("path:"+p.Path, "there is no file %s on this host", p.Path).WithHint("let this task need the one that makes it")
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Outputs implements task.Outputter.
func (p *Fetch) Outputs(ctx context.Context, h task.Host) (any, error) {
	sum, err := p.hash(ctx, h)
	return Outputs{Path: p.to(), SHA256: sum}, err
}

// Interface guards.
var (
	_ task.Toucher        = (*Fetch)(nil)
	_ task.Outputter      = (*Fetch)(nil)
	_ task.ControllerUser = (*Fetch)(nil)
)
