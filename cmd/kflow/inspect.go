package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/agent/binaries"
	"github.com/kflow/kflow/engine/schema"
	"github.com/kflow/kflow/tasks"
)

func (a *app) validateCommand() *cobra.Command {
	var cfg engine.Config
	c := &cobra.Command{
		Use:   "validate PLAYBOOK",
		Short: "Check a playbook completely without reaching a host; silent when all is well",
		Long: "Checks a playbook, its parts and its inventory without reaching a host: keys, types, names and expressions, tasks that get\n" +
			"into each other's way, and what does not go together. All mistakes in one pass, each with its place and a way out; silent\n" +
			"and exit code 0 when all is well. Values of inputs need not be given; those that are, are checked.",
		Example: `  kflow validate site.yaml
  kflow validate playbooks/ha-containerd.yaml -i hosts.yaml --set vip=10.0.0.240`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg.Playbook, cfg.Sketch = args[0], true
			_, err := a.open(c.Context(), cfg)
			return err
		},
	}
	a.sourceFlags(c, &cfg)
	return c
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "schema [playbook|inventory]",
		Short:     "Print the JSON schema for editors",
		Example:   "  kflow schema >playbook.schema.json\n  kflow schema inventory >inventory.schema.json",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"playbook", "inventory"},
		RunE: func(_ *cobra.Command, args []string) error {
			what := schema.Playbook
			if len(args) == 1 && args[0] == "inventory" {
				what = schema.Inventory
			}
			b, err := what(tasks.All())
			if err != nil {
				return err
			}
			_, err = a.out.Write(b)
			return err
		},
	}
}

func (a *app) runsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "runs",
		Short: "List the runs of this machine, the latest first",
		Long: "Lists the runs of this machine, the latest first. `kflow resume RUN` goes on with one that did not end well, `kflow explain\n" +
			"TASK@HOST --run RUN` says what became of one instance of it.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			runs, err := engine.Runs(a.state)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "RUN\tSTATUS\tPLAYBOOK\tSTARTED\tTOOK\tRESULTS")
			for _, r := range runs {
				if r.Started.IsZero() { // it was stopped before it said anything
					fmt.Fprintf(w, "%s\t%s\t\t\t\t%s\n", r.ID, r.Status, cmp.Or(r.Results, "never began"))
					continue
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Status, short(r.Playbook), r.Started.Local().Format(time.DateTime),
					r.Took.Round(time.Second), r.Results)
			}
			return w.Flush()
		},
	}
}

// short is a path as a person here would write it.
func short(path string) string {
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && len(rel) < len(path) {
			return rel
		}
	}
	return path
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version and what this kflow carries",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			fmt.Fprintf(a.out, "kflow %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			for _, arch := range []string{"amd64", "arm64"} {
				if b, err := binaries.For(arch); err == nil {
					fmt.Fprintf(a.out, "agent linux/%s %s\n", arch, b.SHA256[:12])
				} else {
					fmt.Fprintf(a.out, "agent linux/%s missing: %v\n", arch, err)
				}
			}
		},
	}
}
