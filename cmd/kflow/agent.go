package main

import (
	"github.com/spf13/cobra"

	"github.com/kflow/kflow/engine/agent/program"
	"github.com/kflow/kflow/tasks"
)

// agentCommand is what kflow starts of itself for the machine it runs on (connection local, at: controller), so that tasks
// there end with it as they do on hosts: also when it is killed.
func (a *app) agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "agent",
		Short:              "Carry out tasks for the kflow that started this",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return program.Run(cmd.Context(), program.Options{Registry: tasks.All(), Version: version}, args, a.in, a.out)
		},
	}
}

// ownAgent starts this program as an agent: this very file, also when another was put in its place meanwhile.
func ownAgent() []string { return []string{"/proc/self/exe", "kflow", "agent"} }
