package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/plan"
	"github.com/kflow/kflow/engine/playbook"
)

// Questions are what the playbook and its parts want to be confirmed before a run, and nobody has confirmed yet. A part
// without hosts in this run asks nothing.
func (p *Project) Questions() ([]string, error) {
	var out []string
	for _, v := range p.plan.Playbook.Confirms() {
		if !p.hasInstances(v.Site.File) {
			continue
		}
		r, err := p.plan.Value(v, plan.NoHost, nil, nil)
		if err != nil {
			return nil, err
		}
		text := p.masker().String(fmt.Sprint(r.Value))
		if !slices.Contains(p.confirmed, text) && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out, nil
}

func (p *Project) hasInstances(part *playbook.Playbook) bool {
	return slices.ContainsFunc(p.plan.Leaves, func(l *plan.Leaf) bool {
		if len(l.Hosts) == 0 {
			return false
		}
		for t := l.Task; t != nil; t = t.Parent {
			if t.File == part {
				return true
			}
		}
		return false
	})
}

// confirm asks what the playbook wants to be confirmed. Whatever is not answered with yes ends the run before it began.
func (p *Project) confirm(ctx context.Context) error {
	questions, err := p.Questions()
	if err != nil {
		return err
	}
	for _, q := range questions {
		if err := p.confirmOne(ctx, q); err != nil {
			return err
		}
		p.confirmed = append(p.confirmed, q)
	}
	return nil
}

func (p *Project) confirmOne(ctx context.Context, question string) error {
	switch {
	case p.cfg.Yes:
		return nil
	case p.cfg.Ask == nil:
		return &adviceError{fmt.Sprintf("the playbook wants this to be confirmed, and there is no terminal to ask at: %s", question),
			"nothing was touched; --yes confirms it"}
	}
	answer, err := p.cfg.Ask(ctx, Question{Text: question + " [yes/no]", Shown: true})
	if err != nil {
		return fmt.Errorf("not confirmed, nothing was touched: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "yes" && answer != "y" {
		return &adviceError{"not confirmed: nothing was touched", "`yes` goes on"}
	}
	return nil
}
