package systemd

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
)

// stateDir is where a host keeps what kflow must remember there.
const stateDir = "/var/lib/kflow/units/"

// record is what a host remembers of a unit: the hashes of files at the last start kflow saw.
type record struct {
	Files map[string]string `json:"files"` // path -> SHA-256, "" = there was no such file
}

// changed says which files differ from those of the last start; "" when none does.
func (p *Systemd) changed(ctx context.Context, h task.Host) (string, error) {
	if len(p.RestartOn) == 0 {
		return "", nil
	}
	now, err := hashes(ctx, h, p.RestartOn)
	if err != nil {
		return "", err
	}
	last, unknown, err := p.last(ctx, h)
	if err != nil || unknown != "" {
		return unknown, err
	}
	var why []string
	for _, name := range p.RestartOn {
		if hash, known := last.Files[name]; !known || hash != now[name] {
			why = append(why, name+" has changed since the last start")
		}
	}
	return strings.Join(why, "\n"), nil
}

// last is what the host remembers; why says why that is nothing.
func (p *Systemd) last(ctx context.Context, h task.Host) (last record, why string, err error) {
	text, exists, err := hostfile.Read(ctx, h, p.recordFile())
	switch {
	case err != nil:
		return last, "", err
	case !exists:
		return last, "it runs, and kflow does not know with which configuration", nil
	case json.Unmarshal([]byte(text), &last) != nil:
		return record{}, "the record of its last start cannot be read", nil
	}
	return last, "", nil
}

// before are the hashes of the files that a start reads: those of this task, and those of other tasks with the same unit,
// which a start for this one serves too.
func (p *Systemd) before(ctx context.Context, h task.Host) (map[string]string, error) {
	last, _, err := p.last(ctx, h)
	if err != nil {
		return nil, err
	}
	names := slices.Clone(p.RestartOn)
	for name := range last.Files {
		names = append(names, name)
	}
	return hashes(ctx, h, names)
}

func hashes(ctx context.Context, h task.Host, names []string) (map[string]string, error) {
	hashes := map[string]string{}
	for _, name := range names {
		if _, done := hashes[name]; done {
			continue
		}
		hash, err := hostfile.Hash(ctx, h, name)
		if err != nil {
			return nil, err
		}
		hashes[name] = hash
	}
	return hashes, nil
}

func (p *Systemd) recordFile() string { return stateDir + p.name() + ".json" }

func (p *Systemd) record(ctx context.Context, h task.Host, hashes map[string]string) error {
	if len(hashes) == 0 {
		return nil
	}
	b, err := json.Marshal(record{hashes})
	if err != nil {
		return err
	}
	return hostfile.Write(ctx, h, p.recordFile(), string(b)+"\n", task.Attr{})
}
