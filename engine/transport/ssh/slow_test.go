package ssh

import (
	"crypto/rand"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/kflow/kflow/engine/agent/binaries"
	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/transport"
)

// On a slow link the agent takes minutes to arrive, although it was written into buffers at once.
func TestAnAgentThatTakesMinutesToArrive(t *testing.T) {
	program := make([]byte, 2<<20)
	rand.Read(program)
	agent, err := binaries.Pack(program)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute) // the end of the connection takes its time to arrive, too
		l := newLab(t)
		s := l.server("web")
		s.cached, s.rate = false, 16<<10
		d := l.dialer(func(o *Options) { o.Agents = func(string) (binaries.Binary, error) { return agent, nil } })
		defer l.end(d)
		start := time.Now()
		c := dial(t, d, target(s, l.key))
		defer c.Close()
		if took := time.Since(start); took < 2*time.Minute || s.uploaded != 1 {
			t.Errorf("after %v, sent %d times: nothing was tested", took, s.uploaded)
		}
	})
}

// One that does not arrive at all is no slow link.
func TestAnAgentThatDoesNotArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.cached = false
		d := l.dialer()
		defer l.end(d)
		s.onUpload = func() {
			for _, c := range s.conns {
				c.freeze()
			}
		}
		start := time.Now()
		_, err := d.Dial(t.Context(), target(s, l.key))
		unreachable(t, err, "agent", "did not start within")
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("found after %v", took)
		}
	})
}

// The answer to a sign of life stands in a queue; what comes meanwhile is a sign as well.
func TestAHostThatTalksIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.server("web")
		s.deaf = true
		d := l.dialer()
		defer l.end(d)
		c := dial(t, d, target(s, l.key))
		defer c.Close()
		if out, err := c.Do(t.Context(), request("do", "talk"), nil); err != nil || out.Failure != nil {
			t.Errorf("%+v, %v", out, err)
		}
		begin := time.Now()
		_, err := wait(t, c, func() {})
		unreachable(t, err, "lost", "no sign of life")
		if took := time.Since(begin); took > 3*time.Minute {
			t.Errorf("found after %v", took)
		}
	})
}

// A host in other hands says that it is busy, or prints, as long as we listen.
func TestAHostThatNeverComesToTheEnd(t *testing.T) {
	for name, says := range map[string]string{"busy": "", "noise": strings.Repeat("x", 100<<10)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer time.Sleep(time.Minute) // until it has noticed the end
				l := newLab(t)
				s := l.server("web")
				s.exec = func(command string, ch gossh.Channel) int {
					nonce := nonceIn.FindStringSubmatch(command)[1]
					for {
						if _, err := io.WriteString(ch, says+wire.Marker(nonce, "busy")); err != nil {
							return 1
						}
						time.Sleep(time.Second)
					}
				}
				d := l.dialer()
				defer l.end(d)
				start := time.Now()
				_, err := d.Dial(t.Context(), target(s, l.key))
				unreachable(t, err, transport.Agent, "again and again")
				if took := time.Since(start); took > 11*time.Minute || len(err.Error()) > 3000 {
					t.Errorf("after %v: %d bytes", took, len(err.Error()))
				}
			})
		})
	}
}
