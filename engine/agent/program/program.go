// Package program is the command line of an agent: of kflow-agent on hosts, and of kflow itself for the machine it runs on.
package program

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/kflow/kflow/engine/agent/server"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/task"
)

// Options of a program.
type Options struct {
	Registry *task.Registry
	Version  string
	RunDir   string // see server.Options, unless --run-dir says another
	LockDir  string // see server.Options; "" = RunDir, else the directory of content
}

// Run carries out the command line args, over in and out, until the connection ends.
func Run(ctx context.Context, o Options, args []string, in io.Reader, out io.Writer) error {
	so := server.Options{Registry: o.Registry, Version: o.Version, LockDir: o.LockDir}
	fs := flag.NewFlagSet("kflow-agent", flag.ContinueOnError)
	fs.StringVar(&so.Nonce, "nonce", "", "text of the marker line that opens the connection")
	fs.StringVar(&so.SHA256, "sha256", "", "hash of this program")
	fs.StringVar(&so.Dir, "dir", "", "directory to keep content in")
	fs.StringVar(&so.RunDir, "run-dir", o.RunDir, "directory for what need not outlive a boot")
	fs.StringVar(&so.Session, "session", "", "end the agent before this one of the same name")
	fs.Func("claim", "the run that no other run may work on this host with", func(word string) error {
		so.Claim = &wire.Claim{}
		return wire.ParseWord(word, so.Claim)
	})
	fs.Func("address", "address kflow knows this host by", func(a string) error {
		so.Prefer = append(so.Prefer, a)
		return nil
	})
	show := fs.Bool("version", false, "print the version and end")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if so.RunDir != "" && os.MkdirAll(so.RunDir, 0o700) != nil {
		so.RunDir = "" // an odd machine, without /run or with one that is read-only
	}
	so.LockDir = cmp.Or(so.LockDir, so.RunDir, so.Dir)
	if *show {
		_, err := fmt.Fprintln(out, "kflow-agent", so.Version)
		return err
	}
	// The end of the connection is the end of standard input; programs are ended in order then, which a signal that kills
	// us at once would prevent.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	return server.Serve(ctx, so, in, out)
}
