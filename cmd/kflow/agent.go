package main

import (
	"os"
	"path/filepath"

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
			return program.Run(cmd.Context(), program.Options{Registry: tasks.All(), Version: version, LockDir: locksDir()}, args, a.in, a.out)
		},
	}
}

// locksDir is where runs on this machine meet, whatever state folder they have: the same place as for those that come over
// SSH. "" = there is none.
func locksDir() string {
	if dir := os.Getenv("KFLOW_LOCKS"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/run/kflow"
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "kflow")
}

// ownAgent starts this program as an agent: this very file, also when another was put in its place meanwhile.
func ownAgent() []string { return []string{"/proc/self/exe", "kflow", "agent"} }
