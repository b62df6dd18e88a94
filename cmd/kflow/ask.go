package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/render/plain"
)

// errInterrupted ends a question.
var errInterrupted = errors.New("interrupted")

// asker asks the person at the terminal; nil where there is none. Somebody is there when standard input is a terminal and
// kflow runs in its foreground: from the background the first question would stop it for good, without a word.
func (a *app) asker() func(context.Context, engine.Question) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	if front, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP); err != nil || front != unix.Getpgrp() {
		return nil
	}
	t := &terminal{app: a}
	return t.ask
}

// terminal asks one question at a time, on the terminal itself: what kflow prints may go elsewhere.
type terminal struct {
	app *app
	mu  sync.Mutex
}

func (t *terminal) ask(ctx context.Context, q engine.Question) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer tty.Close()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	was, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(tty, "%s: ", plain.Text(q.Text)); err != nil {
		return "", err
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // a read of a terminal can't be cut off
		text, err := readLine(tty, q.Shown)
		answers <- answer{text, err}
	}()
	select {
	case got := <-answers:
		return got.text, got.err
	case <-ctx.Done():
	}
	_ = term.Restore(int(tty.Fd()), was) // what is typed is to be seen again
	fmt.Fprintln(tty)
	t.app.interrupted = true
	return "", errInterrupted
}

func readLine(tty *os.File, shown bool) (string, error) {
	if shown {
		text, err := bufio.NewReader(tty).ReadString('\n')
		return strings.TrimRight(text, "\r\n"), err
	}
	text, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty) // the line end was not seen either
	return string(text), err
}
