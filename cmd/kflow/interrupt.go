package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interrupts are the signals that stop a run; with nohup the end of the terminal is none.
//
// A pipe that nobody reads raises SIGPIPE, whichever it is: that of a reader of our output, but also the connection to a host
// that is gone. So it is taken from the one who writes there (see reader); the signal itself only must not end kflow, neither
// now nor when something is still said at the end.
func interrupts() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // nobody listens; programs that are started have it as ever
	return signals, func() { signal.Stop(signals) }
}

// stopSoftly does what the first Ctrl-C does. Where signals are waiting already, one of them does it.
func stopSoftly(signals chan<- os.Signal) {
	select {
	case signals <- syscall.SIGPIPE:
	default:
	}
}

// reader is whoever reads our output. It is told once when it is gone (`kflow run .. | head`).
type reader struct {
	w    io.Writer
	gone func()
	once sync.Once
}

func (r *reader) Write(b []byte) (int, error) {
	n, err := r.w.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		r.once.Do(r.gone)
	}
	return n, err
}
