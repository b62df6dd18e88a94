package server

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kflow/kflow/engine/agent/client"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/task"
)

// connect starts an agent, and returns its streams and how it ended.
func connect(ctx context.Context) (in *io.PipeWriter, out *bufio.Reader, ended chan error) {
	toAgent, in := io.Pipe()
	fromAgent, agentOut := io.Pipe()
	ended = make(chan error, 1)
	go func() {
		ended <- Serve(ctx, Options{Registry: task.NewRegistry(), Nonce: "N"}, toAgent, agentOut)
		toAgent.Close()
		agentOut.Close()
	}()
	out = bufio.NewReader(fromAgent)
	wire.ReadMarker(out, "N")
	return in, out, ended
}

func TestAnAgentThatHearsNothingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, out, ended := connect(t.Context())
		go io.Copy(io.Discard, out)
		start := time.Now()
		err := <-ended
		if err == nil || !strings.Contains(err.Error(), "no sign of kflow") || time.Since(start) != wire.AliveLimit {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestAQuietClientIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out, ended := connect(t.Context())
		buffered := make(chan []byte, 1000) // as a kernel has buffers
		go func() {
			for b := range buffered {
				in.Write(b)
			}
			in.Close()
		}()
		c, err := client.New(out, writer(buffered), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		c.Close()
		synctest.Wait()
		close(buffered)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

type writer chan<- []byte

func (w writer) Write(p []byte) (int, error) {
	w <- append([]byte(nil), p...)
	return len(p), nil
}

func TestASignalEndsTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, out, ended := connect(ctx)
		go io.Copy(io.Discard, out)
		synctest.Wait()
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Error(err)
		}
	})
}
