package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/render/jsonl"
	"github.com/kflow/kflow/engine/render/plain"
	"github.com/kflow/kflow/tasks"
)

// source adds the flags that say what is to be carried out and where.
func (a *app) sourceFlags(c *cobra.Command, cfg *engine.Config) {
	f := c.Flags()
	f.StringVarP(&cfg.Inventory, "inventory", "i", "", "inventory `FILE` (default: the one the playbook names)")
	f.StringArrayVar(&cfg.Set, "set", nil, "`NAME=VALUE` of an input; can be repeated")
	f.StringArrayVar(&cfg.SetFile, "set-file", nil, "`NAME=FILE`: an input from a file's content; can be repeated")
	f.StringArrayVar(&cfg.Vars, "vars", nil, "YAML `FILE` with values of inputs, plain or encrypted with age; can be repeated")
	f.StringArrayVar(&cfg.Identity, "identity", nil, "`FILE` of the age or SSH key that opens encrypted --vars ($KFLOW_AGE_IDENTITY_FILE; $KFLOW_AGE_IDENTITY is the key itself)")
	f.StringVar(&cfg.Limit, "limit", "", "run on these `HOSTS` and groups only, by commas")
	f.StringArrayVar(&cfg.Only, "only", nil, "run only the task at this `PATH`, or the tasks inside; what it needs is taken as done; can be repeated")
	cfg.Kinds = tasks.All()
	cfg.Version, cfg.Agent = version, ownAgent()
}

func (a *app) runFlags(c *cobra.Command, cfg *engine.Config) {
	f := c.Flags()
	f.IntVar(&cfg.Parallel, "parallel", 0, "`N` instances at once (default 128)")
	f.BoolVar(&cfg.AcceptNew, "accept-new-host-keys", false, "accept and remember keys of hosts never seen before; a changed key is still refused")
	f.BoolVarP(&cfg.Yes, "yes", "y", false, "answer yes to what the playbook asks")
	f.StringVarP(&a.output, "output", "o", "plain", "`FORMAT`: plain, or json: one event per line")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "show diffs and all output of programs")
}

func (a *app) runCommand() *cobra.Command {
	var cfg engine.Config
	var dry, simulate bool
	var r rehearsal
	c := &cobra.Command{
		Use:   "run PLAYBOOK | run --plan FILE",
		Short: "Carry out a playbook",
		Example: `  kflow run playbooks/ha-containerd.yaml -i site.yaml --set vip=10.0.0.240
  kflow run playbooks/ha-containerd.yaml --dry-run     # what would run; reaches no host
  kflow run playbooks/ha-containerd.yaml --simulate    # on simulated hosts
  kflow run --plan tonight.plan                        # what kflow plan --out wrote`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg.State = a.state
			if (len(args) == 1) == (cfg.Plan != "") {
				return errors.New("`kflow run` wants a playbook, or --plan with a file that `kflow plan --out` wrote")
			}
			if len(args) == 1 {
				cfg.Playbook = args[0]
			}
			if simulate {
				return a.rehearse(c.Context(), cfg, r)
			}
			p, err := a.open(c.Context(), cfg)
			if err != nil {
				return err
			}
			if dry {
				return a.dryRun(p)
			}
			already, err := p.Fits(c.Context())
			if err != nil {
				return err
			}
			if len(already) > 0 {
				fmt.Fprintf(a.err, "already as planned, all or in part: %s\n", a.few(already))
			}
			return a.carryOut(c.Context(), p)
		},
	}
	a.sourceFlags(c, &cfg)
	a.runFlags(c, &cfg)
	c.Flags().Lookup("output").Usage = "plain, or json: one event per line; with --dry-run the graph as text, dot, mermaid, json or svg"
	c.Flags().BoolVar(&dry, "dry-run", false, "show the graph with what would run, reach no host")
	c.Flags().BoolVar(&simulate, "simulate", false, "carry it out on simulated hosts (kflow simulate can do more)")
	c.Flags().StringVar(&cfg.Plan, "plan", "", "carry out the plan in `FILE`; refused where the playbook has changed, or a host would now be changed otherwise")
	a.rehearsalFlags(c, &r)
	for _, name := range []string{"hosts", "seed", "os", "package", "fault"} {
		f := c.Flags().Lookup(name)
		f.Usage = "with --simulate: " + f.Usage
	}
	c.MarkFlagsMutuallyExclusive("simulate", "dry-run", "plan")
	return c
}

// few are names for one line: verbose shows all of them.
func (a *app) few(names []string) string {
	const shown = 10
	if len(names) <= shown || a.verbose {
		return strings.Join(names, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], " "), len(names)-shown)
}

func (a *app) resumeCommand() *cobra.Command {
	var cfg engine.Config
	c := &cobra.Command{
		Use:   "resume [RUN]",
		Short: "Go on with a run where it stopped (default: the latest that did not end well)",
		Long: "Goes on with a run where it stopped: what was done and still holds is not done again. Playbook, inventory and options are\n" +
			"those of the run, options given now win; --limit and --only do a part of what is left, the run stays resumable. Secrets\n" +
			"are in no record of a run: give them again.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg.State = a.state
			cfg.Resume = engine.Latest
			if len(args) > 0 {
				cfg.Resume = args[0]
			}
			if cfg.Resume == "" {
				return errors.New("the id of the run is empty: `kflow runs` lists them, `kflow resume` alone takes the latest that did not end well")
			}
			p, err := a.open(c.Context(), cfg)
			if err != nil {
				return err
			}
			return a.carryOut(c.Context(), p)
		},
	}
	a.sourceFlags(c, &cfg)
	a.runFlags(c, &cfg)
	return c
}

// open reads everything that can be read without reaching a host, and shows warnings.
func (a *app) open(ctx context.Context, cfg engine.Config) (*engine.Project, error) {
	cfg.Ask, cfg.Aside = a.asker(), plain.New(a.err, plain.Options{Color: colour(a.err)})
	p, found := engine.Open(ctx, cfg)
	if err := found.Err(); err != nil {
		return nil, err
	}
	if found.Len() > 0 {
		a.diagnostics(found.Sorted())
	}
	return p, nil
}

// carryOut runs with the display that was asked for. The first Ctrl-C stops softly, the second at once.
func (a *app) carryOut(ctx context.Context, p *engine.Project) error {
	signals, stop := interrupts()
	defer stop()
	sink, err := a.sink(&reader{w: a.out, gone: func() { stopSoftly(signals) }})
	if err != nil {
		return err
	}
	err = p.Run(ctx, sink, signals)
	a.close(sink, "its log has all: kflow runs")
	return err
}

// close ends a display. That it could not show all is said, and is nothing that became of the run: the exit code tells of
// that alone. Whoever has stopped reading knows it.
func (a *app) close(sink event.Sink, help string) {
	c, ok := sink.(io.Closer)
	if !ok {
		return
	}
	if err := c.Close(); err != nil && !errors.Is(err, syscall.EPIPE) {
		fmt.Fprintf(a.err, "kflow: not all of the run was shown: %v\n", err)
		if help != "" {
			fmt.Fprintf(a.err, "  help: %s\n", help)
		}
	}
}

// sink is the display that was asked for, on w.
func (a *app) sink(w io.Writer) (event.Sink, error) {
	switch a.output {
	case "plain":
		return plain.New(w, plain.Options{Color: colour(a.out), Verbose: a.verbose}), nil
	case "json":
		return jsonl.New(w), nil
	}
	return nil, errors.New("unknown output " + a.output + ": plain and json are known")
}

func (a *app) dryRun(p *engine.Project) error {
	format := a.output
	if format == "plain" {
		format = "text"
	}
	text, err := p.DryRunGraph(format)
	fmt.Fprint(a.out, text)
	if err != nil {
		return err
	}
	return a.sayQuestions(p, a.err)
}

// sayQuestions says what a run will ask before it begins.
func (a *app) sayQuestions(p *engine.Project, w io.Writer) error {
	questions, err := p.Questions()
	for _, q := range questions {
		fmt.Fprintf(w, "asks before it begins: %s\n", q)
	}
	return err
}
