package engine

import (
	"context"
	"fmt"
	"os"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/sealed"
	"github.com/kflow/kflow/engine/syntax"
)

// given are values of inputs from all sources, before the playbook says what they mean.
type given struct {
	values  []playbook.Given
	secret  []string // names of inputs that stand in encrypted files
	secrets []string // texts that opened these
}

// given reads the values of inputs. Encrypted files are opened: their values are secrets.
func (p *Project) given(ctx context.Context, found *diag.List) given {
	var out given
	take := func(g playbook.Given, diags diag.List) {
		out.values = append(out.values, g)
		found.Extend(diags)
	}
	keys := p.keys(found)
	for _, file := range p.cfg.Vars {
		text, err := syntax.ReadFile(file)
		if err != nil {
			found.Errorf(diag.Pos{File: file}, "can't read values: %v", err)
			continue
		}
		plain, isSealed, err := keys.Open(ctx, file, text)
		switch {
		case err != nil:
			found.Extend(failed(err))
		case isSealed:
			take(playbook.SealedFile(file, plain))
			out.secret = append(out.secret, out.values[len(out.values)-1].Names()...)
		default:
			take(playbook.VarsFile(file, plain))
		}
	}
	out.secrets = keys.Secrets()
	out.values = append(out.values, playbook.Environ(p.environ), playbook.Environ(p.cfg.Environ))
	take(playbook.Set("--set", p.cfg.Set))
	take(playbook.SetFile("--set-file", p.cfg.SetFile, syntax.ReadFile))
	return out
}

func (p *Project) keys(found *diag.List) *sealed.Keys {
	k := &sealed.Keys{Files: p.cfg.Identity, Environ: p.cfg.Environ, Read: os.ReadFile,
		Warn: func(file, text, help string) { found.Warnf(diag.Pos{File: file}, "%s", text).Hintf("%s", help) }}
	if p.cfg.Ask != nil {
		k.Ask = func(ctx context.Context, q string) (string, error) { return p.cfg.Ask(ctx, Question{Text: q}) }
	}
	return k
}

// inputs are the values of a run. Secret ones that nobody gave are asked for, once all else is right.
func (p *Project) inputs(ctx context.Context, pb *playbook.Playbook, given given, found *diag.List) *playbook.Values {
	values, diags := pb.Inputs.Merge(given.values...)
	if p.cfg.Sketch {
		if len(values.Missing) == 0 {
			found.Extend(diags)
		}
		return values
	}
	if p.canAsk(values, diags) && !found.HasErrors() {
		answers, err := p.askSecrets(ctx, values.Missing)
		if err != nil {
			found.Extend(failed(err))
			return values
		}
		values, diags = pb.Inputs.Merge(append(given.values, answers...)...)
	}
	found.Extend(diags)
	p.notAgain(pb, given, values, found)
	return values
}

// canAsk tells whether answers of a person are all that is missing.
func (p *Project) canAsk(values *playbook.Values, diags diag.List) bool {
	errs := 0
	for _, d := range diags.Sorted() {
		if d.Severity == diag.Error {
			errs++
		}
	}
	for _, in := range values.Missing {
		if !in.Secret {
			return false
		}
	}
	return p.cfg.Ask != nil && len(values.Missing) > 0 && errs == len(values.Missing)
}

// maxAsk is how often an answer may be one that can't be taken.
const maxAsk = 3

func (p *Project) askSecrets(ctx context.Context, missing []*playbook.Input) ([]playbook.Given, error) {
	var out []playbook.Given
	for _, in := range missing {
		text := "input `" + in.Name + "`"
		if in.Description != "" {
			text += " (" + in.Description + ")"
		}
		answer, err := p.askInput(ctx, in, text)
		if err != nil {
			return nil, err
		}
		out = append(out, answer)
	}
	return out, nil
}

func (p *Project) askInput(ctx context.Context, in *playbook.Input, text string) (playbook.Given, error) {
	question := text
	var wrong error
	for range maxAsk {
		value, err := p.cfg.Ask(ctx, Question{Text: question})
		if err != nil {
			return playbook.Given{}, fmt.Errorf("input `%s` was asked for, and not given: %w", in.Name, err)
		}
		answer := playbook.Answer(in.Name, value)
		if wrong = in.Accepts(answer); wrong == nil {
			return answer, nil
		}
		question = wrong.Error() + "; once more: " + text
	}
	return playbook.Given{}, fmt.Errorf("input `%s`: %w", in.Name, wrong)
}
