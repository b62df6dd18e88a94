// Kflow-agent carries out the tasks of kflow on the host it is started on. kflow sends it there and starts it; it speaks
// the protocol of package wire on standard input and output, listens nowhere, and ends with its connection.
//
//	kflow-agent [--nonce TEXT] [--sha256 HEX] [--dir DIR] [--run-dir DIR] [--session NAME] [--claim WORD]
//	            [--address IP]...
//	kflow-agent --version
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/kflow/kflow/engine/agent/program"
	"github.com/kflow/kflow/engine/host"
	"github.com/kflow/kflow/tasks"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kflow-agent:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if err := host.UseProxies("/etc/environment"); err != nil {
		return err
	}
	o := program.Options{Registry: tasks.All(), Version: version()}
	if os.Geteuid() == 0 {
		o.RunDir = "/run/kflow"
	}
	return program.Run(context.Background(), o, args, os.Stdin, os.Stdout)
}

// version is that of the module the program was built from.
func version() string {
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		return bi.Main.Version
	}
	return "devel"
}
