// Kflow-agent carries out the tasks of kflow on the host it is started on. kflow sends it there and starts it; it speaks
// the protocol of package wire on standard input and output, listens nowhere, and ends with its connection.
//
//	kflow-agent [--nonce TEXT] [--sha256 HEX] [--dir DIR] [--session NAME] [--address IP]...
//	kflow-agent --version
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/kflow/kflow/engine/agent/server"
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
	o := server.Options{Version: version()}
	fs := flag.NewFlagSet("kflow-agent", flag.ContinueOnError)
	fs.StringVar(&o.Nonce, "nonce", "", "text of the marker line that opens the connection")
	fs.StringVar(&o.SHA256, "sha256", "", "hash of this program")
	fs.StringVar(&o.Dir, "dir", "", "directory to keep content in")
	fs.StringVar(&o.Session, "session", "", "end the agent before this one of the same name")
	fs.Func("address", "address kflow knows this host by", func(a string) error {
		o.Prefer = append(o.Prefer, a)
		return nil
	})
	show := fs.Bool("version", false, "print the version and end")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *show {
		fmt.Println("kflow-agent", o.Version)
		return nil
	}
	// The end of the connection is the end of standard input; programs are ended in order then, which a signal that kills
	// us at once would prevent.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := host.UseProxies("/etc/environment"); err != nil {
		return err
	}
	o.Registry = tasks.All()
	if os.Geteuid() == 0 {
		o.RunDir = "/run/kflow"
	}
	return server.Serve(ctx, o, os.Stdin, os.Stdout)
}

// version is that of the module the program was built from.
func version() string {
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		return bi.Main.Version
	}
	return "devel"
}
