package repository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
	"github.com/kflow/kflow/tasks/internal/pkgmgr"
)

// recordDir is where records are kept on hosts.
const recordDir = "/var/lib/kflow/repositories"

func (p *Repository) record() string { return path.Join(recordDir, p.Name) }

func hashOf(texts ...string) string {
	sum := sha256.New()
	for _, t := range texts {
		_, _ = fmt.Fprintf(sum, "%d\n%s", len(t), t)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// refresh is the change that downloads package lists, when files have changed since the last time. hash is that of the
// files as they shall be.
func (p *Repository) refresh(ctx context.Context, h task.Host, hash string, changes []task.Change, o pkgmgr.Options) ([]task.Change, error) {
	have, _, err := hostfile.Read(ctx, h, p.record())
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(have) == hash && len(changes) == 0 {
		return nil, nil
	}
	m, err := pkgmgr.Of(h)
	if err != nil {
		return nil, err
	}
	o.LockTimeout = p.LockTimeout.D()
	summary := "download the package lists of " + p.Name
	if !p.Refresh {
		summary = "note the state of repository " + p.Name
	}
	return append(changes, task.Change{Summary: summary, Apply: func(ctx context.Context, h task.Host) error {
		if p.Refresh {
			if err := p.lists(ctx, h, m, o); err != nil {
				return err
			}
		}
		return hostfile.Write(ctx, h, p.record(), hash+"\n", task.Attr{})
	}}), nil
}

// lists downloads package lists. A key that has expired is got again from its address: that is how projects prolong keys.
func (p *Repository) lists(ctx context.Context, h task.Host, m pkgmgr.Manager, o pkgmgr.Options) error {
	err := m.Refresh(ctx, h, o)
	if !pkgmgr.ExpiredKey(err) || p.Apt == nil || p.Apt.KeyURL == "" {
		return err
	}
	h.Log("the key of the repository has expired, getting it again from " + p.Apt.KeyURL)
	if err := p.Apt.download(ctx, h, p.keyring()); err != nil {
		return err
	}
	return m.Refresh(ctx, h, o)
}

// keyring is the file with the key of the repository.
func (p *Repository) keyring() string { return "/etc/apt/keyrings/" + p.Name + ".gpg" }

// removal removes the files of the repository.
func (p *Repository) removal(ctx context.Context, h task.Host, names ...string) ([]task.Change, error) {
	var there []string
	for _, name := range append(names, p.record()) {
		ok, err := hostfile.Exists(ctx, h, name)
		if err != nil {
			return nil, err
		}
		if ok {
			there = append(there, name)
		}
	}
	if there == nil {
		return nil, nil
	}
	return []task.Change{{Summary: "remove repository " + p.Name, Diff: "- " + strings.Join(there, "\n- "), Apply: func(ctx context.Context, h task.Host) error {
		for _, name := range there {
			if err := h.Remove(ctx, name); err != nil {
				return err
			}
		}
		return nil
	}}}, nil
}

// yumChanges compares a repository of dnf and yum.
func (p *Repository) yumChanges(ctx context.Context, h task.Host) ([]task.Change, error) {
	name := "/etc/yum.repos.d/" + p.Name + ".repo"
	if p.State == "absent" {
		return p.removal(ctx, h, name)
	}
	want := p.Yum.text(p.Name)
	have, exists, err := hostfile.Read(ctx, h, name)
	if err != nil {
		return nil, err
	}
	changes := hostfile.Want(name, have, want, exists, task.Attr{})
	if !p.Yum.Enabled {
		return changes, nil
	}
	return p.refresh(ctx, h, hashOf(want), changes, pkgmgr.Options{DisableRepos: []string{"*"}, EnableRepos: []string{p.Name}})
}

// text is the file of the repository.
func (y *Yum) text(name string) string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			b.WriteString(key + "=" + value + "\n")
		}
	}
	flag := func(v bool) string {
		if v {
			return "1"
		}
		return "0"
	}
	description := y.Description
	if description == "" {
		description = name
	}
	b.WriteString("[" + name + "]\n")
	line("name", description)
	line("baseurl", strings.Join(y.BaseURL, "\n        "))
	line("mirrorlist", y.Mirrorlist)
	line("enabled", flag(y.Enabled))
	line("gpgcheck", flag(y.GPGCheck))
	line("gpgkey", strings.Join(y.GPGKey, "\n       "))
	line("exclude", strings.Join(y.Exclude, " "))
	if y.Priority > 0 {
		line("priority", fmt.Sprint(y.Priority))
	}
	if y.ModuleHotfixes {
		line("module_hotfixes", "1")
	}
	if !y.SSLVerify {
		line("sslverify", "0")
	}
	return b.String()
}

// aptChanges compares a repository of apt.
func (p *Repository) aptChanges(ctx context.Context, h task.Host) ([]task.Change, error) {
	name, keyring := "/etc/apt/sources.list.d/"+p.Name+".sources", p.keyring()
	if p.State == "absent" {
		return p.removal(ctx, h, name, keyring)
	}
	have, exists, err := hostfile.Read(ctx, h, name)
	if err != nil {
		return nil, err
	}
	want := p.Apt.text(keyring)
	changes, key, err := p.Apt.keyChanges(ctx, h, keyring, have)
	if err != nil {
		return nil, err
	}
	changes = append(changes, hostfile.Want(name, have, want, exists, task.Attr{})...)
	return p.refresh(ctx, h, hashOf(want, key), changes, pkgmgr.Options{})
}

// text is the file of the repository. Where the key comes from is noted in it, so that another address is a change.
func (a *Apt) text(keyring string) string {
	var b strings.Builder
	if a.KeyURL != "" {
		b.WriteString("# key: " + a.KeyURL + "\n")
	}
	line := func(key string, values ...string) {
		if v := strings.Join(values, " "); v != "" {
			b.WriteString(key + ": " + v + "\n")
		}
	}
	line("Types", a.Types...)
	line("URIs", a.URIs...)
	line("Suites", a.Suites...)
	line("Components", a.Components...)
	line("Architectures", a.Architectures...)
	if a.Key != nil || a.KeySource != nil || a.KeyURL != "" {
		line("Signed-By", keyring)
	}
	if a.Trusted {
		line("Trusted", "yes")
	}
	return b.String()
}
