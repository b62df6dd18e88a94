package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/render/plain"
)

// app is what all commands share: the streams and the switches of the root command.
type app struct {
	in       io.Reader
	out, err io.Writer
	output   string // plain or json
	verbose  bool
	state    string

	interrupted bool // at a question
}

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	return a.exit(root.ExecuteContext(ctx))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kflow",
		Short: "Carry out playbooks: checked before anything is touched, on all hosts at once, resumable",
		Long: "Carries out playbooks: checked before anything is touched, on all hosts at once, resumable.\n\n" +
			"Exit codes: 0 all is well, 1 command line, playbook or inventory is wrong, 2 a plan has changes, 3 tasks failed, 4 a host was\n" +
			"unreachable, 5 another run holds the inventory or a host, 130 interrupted. After 3, 4 and 130: kflow resume.",
		Example: `  kflow simulate playbooks/ha-containerd.yaml         # rehearse it: no hosts, no root, no network
  kflow validate site.yaml                            # check it
  kflow plan site.yaml                                # what would change; exit code 2 when something would
  kflow run site.yaml                                 # carry it out
  kflow resume                                        # go on after a failure, Ctrl-C or kill -9
  kflow explain file                                  # what a kind of task can do`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.PersistentFlags().StringVar(&a.state, "state", os.Getenv("KFLOW_STATE"), "`DIR` of runs, locks and history (default: ~/.local/state/kflow; $KFLOW_STATE)")
	root.AddCommand(a.runCommand(), a.simulateCommand(), a.planCommand(), a.resumeCommand(), a.runsCommand(), a.graphCommand(), a.validateCommand(),
		a.schemaCommand(), a.explainCommand(), a.versionCommand(), a.agentCommand())
	helpful(root)
	return root
}

// exit shows an error and returns the exit code that fits it.
func (a *app) exit(err error) int {
	if err == nil {
		return engine.ExitOK
	}
	code := engine.ExitUsage
	var coded *engine.ExitError
	if errors.As(err, &coded) {
		err, code = coded.Err, coded.Code
	}
	if err != nil {
		a.show(err)
	}
	if a.interrupted {
		return engine.ExitInterrupted
	}
	return code
}

func (a *app) show(err error) {
	if ds, ok := diag.As(err); ok {
		a.diagnostics(ds)
		return
	}
	fmt.Fprintf(a.err, "kflow: %s\n", plain.Text(err.Error())) // it may quote what a host says
	var h interface{ Help() string }
	if errors.As(err, &h) && h.Help() != "" {
		fmt.Fprintf(a.err, "  help: %s\n", h.Help())
	}
}

func (a *app) diagnostics(ds []diag.Diagnostic) {
	var text strings.Builder
	if err := diag.Write(&text, ds[:min(len(ds), maxShown)], readSource); err != nil {
		return // a Builder takes all
	}
	fmt.Fprint(a.err, plain.Text(text.String()))
	errs := 0
	for _, d := range ds {
		if d.Severity == diag.Error {
			errs++
		}
	}
	switch {
	case len(ds) > maxShown:
		fmt.Fprintf(a.err, "\n%s; the first %d findings are shown\n", count(errs, "error"), maxShown)
	case errs > 0:
		fmt.Fprintf(a.err, "\n%s\n", count(errs, "error"))
	}
}

// maxShown is how many findings are shown at once.
const maxShown = 200

func readSource(file string) []byte {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return b
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// colour tells whether w is a terminal that wants colour (https://no-color.org).
func colour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
