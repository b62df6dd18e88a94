package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/render/plain"
	"github.com/kflow/kflow/tasks"
)

func (a *app) explainCommand() *cobra.Command {
	var run, output string
	c := &cobra.Command{
		Use:   "explain KIND|INSTANCE",
		Short: "Explain a kind of task, or why an instance of a run ran, was skipped, reused, blocked or run again",
		Long: "Explains a kind of task, or why an instance of a run ran, was skipped, reused, blocked or run again.\n\nKinds: " +
			strings.Join(tasks.All().Names(), ", "),
		Example: `  kflow explain sysctl                        # parameters, outputs, what it touches, rules, examples
  kflow explain runtime/config@k8s-mn02        # of the latest run
  kflow explain init --run 20260102-150405`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(tasks.All().Names(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			if text, ok := engine.ExplainKind(c.Context(), tasks.All(), args[0]); ok && !c.Flags().Changed("run") {
				_, err := io.WriteString(a.out, text)
				return err
			}
			cfg := engine.Config{State: a.state, Kinds: tasks.All(), Version: version}
			x, err := engine.Explain(c.Context(), cfg, run, args[0])
			if near := diag.Nearest(args[0], tasks.All().Names()); err != nil && near != "" && !strings.ContainsAny(args[0], "@/") {
				return usageError{fmt.Sprintf("there is no kind `%s`, and no instance of that name in the run", args[0]), fmt.Sprintf("did you mean `kflow explain %s`? All kinds: kflow explain --help", near)}
			}
			if err != nil {
				return err
			}
			return a.showExplanation(x, output)
		},
	}
	c.Flags().StringVar(&run, "run", engine.Latest, "`RUN`: its id, or the beginning of it")
	c.Flags().StringVarP(&output, "output", "o", "text", "`FORMAT`: text or json")
	return c
}

func (a *app) showExplanation(x *engine.Explanation, output string) error {
	switch output {
	case "json":
		return json.NewEncoder(a.out).Encode(x)
	case "text":
		_, err := io.WriteString(a.out, plain.Text(explained(x))) // failures quote what hosts say
		return err
	}
	return errors.New("unknown output " + output + ": text and json are known")
}

// explained is an explanation for people.
func explained(x *engine.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s\nrun %s\n", x.Instance, x.Kind, x.Pos, x.Run)
	for _, s := range x.Sessions {
		fmt.Fprintf(&b, "\nsession %d, %s", s.Number, s.Started.Local().Format(time.DateTime))
		if s.Status != event.Pending {
			fmt.Fprintf(&b, ": %s", s.Status)
			if s.Duration > 0 {
				fmt.Fprintf(&b, " after %s", s.Duration.Round(time.Millisecond))
			}
		}
		fmt.Fprintf(&b, "\n  %s\n", s.Why)
		for _, line := range s.Changes {
			fmt.Fprintf(&b, "  change: %s\n", line)
		}
		for _, line := range s.Failures {
			fmt.Fprintf(&b, "  %s\n", line)
		}
		if f := s.Failure; f != nil {
			fmt.Fprintf(&b, "  failure: %s\n", f.Summary)
			if f.Hint != "" {
				fmt.Fprintf(&b, "  help: %s\n", f.Hint)
			}
		}
	}
	if len(x.Needs) > 0 {
		b.WriteString("\nit waits for\n")
	}
	for _, n := range x.Needs {
		status := n.Status
		if status == event.Pending {
			status = "not run"
		}
		fmt.Fprintf(&b, "  %s: %s\n", n.Instance, status)
	}
	return b.String()
}
