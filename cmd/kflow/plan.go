package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/render/fold"
	"github.com/kflow/kflow/engine/render/plain"
)

func (a *app) planCommand() *cobra.Command {
	var cfg engine.Config
	var out string
	c := &cobra.Command{
		Use:   "plan PLAYBOOK",
		Short: "Show what a run would change; writes nothing on the hosts. Exit code 2: there are changes",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg.Playbook, cfg.State = args[0], a.state
			if formats := append([]string{"plain"}, engine.GraphFormats()...); !slices.Contains(formats, a.output) {
				return fmt.Errorf("unknown output %s: %s are known", a.output, strings.Join(formats, ", "))
			}
			p, err := a.open(c.Context(), cfg)
			if err != nil {
				return err
			}
			list, err := p.Plan(c.Context())
			if err != nil {
				return err
			}
			return a.endPlan(p, list, out)
		},
	}
	a.sourceFlags(c, &cfg)
	a.runFlags(c, &cfg)
	c.Flags().Lookup("output").Usage = "`FORMAT`: plain, json (one instance per line), or the graph coloured by the plan: text, dot, mermaid, svg"
	c.Flags().StringVar(&out, "out", "", "write the plan to `FILE`, for kflow run --plan FILE")
	return c
}

// endPlan keeps a plan, and shows it: who reads the beginning of it and no more (`| head`) has it all the same.
func (a *app) endPlan(p *engine.Project, list []engine.Planned, out string) error {
	var lost error
	if out != "" {
		lost = p.SavePlan(out, list, time.Now())
	}
	if err := a.showPlan(p, list); err != nil {
		return err
	}
	if lost != nil {
		return unsaved(planned(list), lost)
	}
	return planned(list)
}

// unsaved is the end of a plan that could not be written: what it foresees says more than that.
func unsaved(code error, err error) error {
	var exit *engine.ExitError
	if errors.As(code, &exit) && exit.Code != engine.ExitChanges {
		return &engine.ExitError{Code: exit.Code, Err: err}
	}
	return err
}

// planned is the exit code of a plan.
func planned(list []engine.Planned) error {
	code := engine.ExitOK
	for _, e := range list {
		switch e.Is {
		case engine.WouldFail:
			return &engine.ExitError{Code: engine.ExitFailed}
		case engine.NotReached:
			return &engine.ExitError{Code: engine.ExitUnreachable}
		case engine.WillChange, engine.IsAction, engine.KnownAfter:
			code = engine.ExitChanges
		}
	}
	if code != engine.ExitOK {
		return &engine.ExitError{Code: code}
	}
	return nil
}

func (a *app) showPlan(p *engine.Project, list []engine.Planned) error {
	if a.output != "json" && slices.Contains(engine.GraphFormats(), a.output) {
		text, err := p.PlanGraph(list, a.output)
		if err == nil {
			_, err = io.WriteString(a.out, text)
		}
		return errors.Join(err, a.sayQuestions(p, a.err))
	}
	if a.output == "json" {
		enc := json.NewEncoder(a.out)
		for _, e := range list {
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		return a.sayQuestions(p, a.err)
	}
	if err := a.sayQuestions(p, a.out); err != nil {
		return err
	}
	for _, g := range foldPlan(list) {
		if err := g.write(a.out, a.verbose); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(a.out, planTotals(list))
	return err
}

// folded are the hosts on which a task has the same outcome.
type folded struct {
	engine.Planned
	hosts []string
}

func foldPlan(list []engine.Planned) []*folded {
	var out []*folded
	index := map[string]*folded{}
	for _, e := range list {
		key := planKey(e)
		if g := index[key]; g != nil {
			g.hosts = append(g.hosts, e.Host)
			continue
		}
		g := &folded{Planned: e, hosts: []string{e.Host}}
		index[key] = g
		out = append(out, g)
	}
	return out
}

func planKey(e engine.Planned) string {
	e.Instance = ""
	why := e.Why
	e.Why = strings.TrimSuffix(why, "@"+e.Host)
	e.Host = ""
	b, err := json.Marshal(e)
	if err != nil {
		return why // cannot be: the struct is plain
	}
	return string(b)
}

func (g *folded) write(w io.Writer, verbose bool) error {
	if g.Is == engine.NoChange && !verbose {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s %s  %s", g.Is, g.Task, fold.Hosts(g.hosts))
	if why := g.Why; why != "" {
		if len(g.hosts) > 1 {
			why = strings.TrimSuffix(why, "@"+g.Host)
		}
		fmt.Fprintf(&b, "  (%s)", why)
	}
	b.WriteByte('\n')
	for _, c := range g.Changes {
		fmt.Fprintf(&b, "    %s\n", c.Summary)
		if c.Diff != "" {
			b.WriteString("        " + strings.ReplaceAll(strings.TrimRight(c.Diff, "\n"), "\n", "\n        ") + "\n")
		}
	}
	_, err := io.WriteString(w, plain.Text(b.String())) // diffs are what hosts say
	return err
}

func planTotals(list []engine.Planned) string {
	counts := map[string]int{}
	for _, e := range list {
		counts[string(e.Is)]++
	}
	parts := []string{fmt.Sprintf("%d to change", counts[string(engine.WillChange)])}
	for _, is := range []string{string(engine.IsAction), string(engine.KnownAfter), string(engine.WouldFail), string(engine.NotReached), string(engine.WillSkip), string(engine.NoChange)} {
		if counts[is] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[is], is))
		}
	}
	return "\nplan: " + strings.Join(parts, ", ")
}
