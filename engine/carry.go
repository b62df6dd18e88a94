package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/agent/wire"
	"github.com/kflow/kflow/engine/checkpoint"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/run"
	"github.com/kflow/kflow/engine/sched"
	"github.com/kflow/kflow/engine/transport"
	"github.com/kflow/kflow/engine/transport/controller"
	"github.com/kflow/kflow/engine/transport/local"
	"github.com/kflow/kflow/engine/transport/ssh"
)

// Run carries the project out. Everything people should see goes to sink. The error is an *ExitError when the code says
// more than "wrong".
func (p *Project) Run(ctx context.Context, sink event.Sink, signals <-chan os.Signal) error {
	if err := p.confirm(ctx); err != nil {
		return err
	}
	log, prior, err := p.openLog()
	if err != nil {
		return locked(err)
	}
	defer log.Close() // the last commit has told
	locks, err := p.store.Lock(log.ID(), p.resources()...)
	if err != nil {
		p.discard(log)
		return locked(err)
	}
	defer locks.Release()
	took := checkpoint.NewDurations()
	result, err := p.session(ctx, log, prior, event.SinkFunc(func(e event.Event) { took.Emit(e); sink.Emit(e) }), signals)
	if err != nil {
		p.discard(log)
		return &ExitError{Code: max(result.Exit, ExitFailed), Err: err}
	}
	if result.Exit == ExitLocked {
		p.forget(log, prior)
		return &ExitError{Code: ExitLocked}
	}
	_ = p.store.Learn(absolute(p.cfg.Playbook), took) // durations are a help, not a need
	if result.Exit != ExitOK {
		return &ExitError{Code: result.Exit}
	}
	return nil
}

func locked(err error) error {
	var l *checkpoint.LockedError
	if errors.As(err, &l) {
		return &ExitError{Code: ExitLocked, Err: err}
	}
	return err
}

func (p *Project) openLog() (*checkpoint.Run, *checkpoint.State, error) {
	if p.resume != "" {
		return p.store.Open(p.resume)
	}
	log, err := p.store.Create()
	return log, nil, err
}

// discard removes a run that never began: it was made to have a name for the locks.
func (p *Project) discard(log *checkpoint.Run) {
	id := log.ID()
	if log.Seq() > 0 || log.Close() != nil {
		return
	}
	_ = p.store.Remove(id) // an empty run in the list is no harm
}

// forget removes a run that was refused at its start: another one works on one of its hosts. One that was to be resumed stays.
func (p *Project) forget(log *checkpoint.Run, prior *checkpoint.State) {
	if prior == nil && log.Close() == nil {
		_ = p.store.Remove(log.ID()) // as above
	}
}

func (p *Project) resources() []checkpoint.Resource {
	out := []checkpoint.Resource{checkpoint.Inventory(absolute(p.cfg.Inventory))}
	for _, i := range p.plan.UsedHosts() {
		h := p.plan.Hosts[i]
		address := h.Address
		if address == "" {
			address = h.Name
		}
		out = append(out, checkpoint.Host(address))
	}
	return out
}

func (p *Project) session(ctx context.Context, log *checkpoint.Run, prior *checkpoint.State, sink event.Sink, signals <-chan os.Signal) (run.Result, error) {
	files := p.files()
	defer files.Close() // only a cache
	info := p.info()
	claim := p.claim(log.ID(), prior)
	info[infoKey] = claim.Key
	dialer := p.dialer(claim, files, sink)
	defer dialer.Close()
	return run.Run(ctx, run.Config{
		Plan: p.plan, Dialer: dialer, Targets: p.targets, Files: files, Log: log, Prior: prior, LeftOut: p.left(prior), Mask: p.masker(), Sink: sink, Agreed: p.agreed(),
		Limits: sched.Limits{Total: p.cfg.Parallel}, Info: info, Signals: signals,
		Playbook: absolute(p.cfg.Playbook), Source: absolute(p.cfg.Inventory),
	})
}

// files is the controller's side of a run: content for hosts, files from hosts, downloads for all.
func (p *Project) files() *controller.Controller {
	return controller.New(controller.Options{Dir: filepath.Dir(absolute(p.cfg.Playbook))})
}

// keepAlive is the pause between signs of life. After three that are missed a connection counts as lost: half a minute is
// long for an operator, and short for a control plane under load.
const keepAlive = 10 * time.Second

// infoKey is where the log keeps the key of a run: what tells hosts that a resumed run is the same, and that one of another
// controller is not, even if it has the same id.
const infoKey = "key"

// claim names a run to its hosts.
func (p *Project) claim(id string, prior *checkpoint.State) *wire.Claim {
	c := &wire.Claim{Key: rand.Text(), Run: id, Playbook: p.plan.Playbook.Name, PID: os.Getpid(), User: "?", Host: "?", Since: time.Now()}
	if prior != nil {
		c.Key = cmp.Or(options{prior.Info}.text(infoKey), id) // none was kept by earlier versions
	}
	if u, err := user.Current(); err == nil {
		c.User = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		c.Host = host
	}
	return c
}

// dialer reaches hosts by the way the inventory says. Without a claim it is there to look, and hinders nobody.
func (p *Project) dialer(claim *wire.Claim, files *controller.Controller, sink event.Sink) *ways {
	notify := func(host, line string) {
		sink.Emit(event.Event{Type: event.Note, Host: host, Line: host + ": " + line})
	}
	session := ""
	if claim != nil {
		session = claim.Key
	}
	return &ways{
		ssh: ssh.New(ssh.Options{Controller: files, Contents: files, Version: p.cfg.Version, AcceptNewHostKeys: p.cfg.AcceptNew,
			Session: session, Claim: claim, KeepAlive: keepAlive,
			Notify: notify, Ask: p.asker()}),
		local: local.New(local.Options{Registry: p.cfg.Kinds, Controller: files, Contents: files, Agent: p.cfg.Agent, Session: session,
			Claim: claim, Notify: notify, Version: p.cfg.Version, RunDir: p.agents()}),
	}
}

// agents is where agents on this machine note what belongs to a run; "" = nowhere in particular.
func (p *Project) agents() string {
	if p.store == nil {
		return ""
	}
	return filepath.Join(p.store.Dir(), "agents")
}

func (p *Project) asker() func(context.Context, ssh.Question) (string, error) {
	if p.cfg.Ask == nil {
		return nil
	}
	return func(ctx context.Context, q ssh.Question) (string, error) {
		if q.Again {
			q.Prompt = "wrong; once more: " + q.Prompt
		}
		return p.cfg.Ask(ctx, Question{Text: q.Prompt})
	}
}

type ways struct {
	ssh   *ssh.Dialer
	local *local.Dialer
}

// Dial implements transport.Dialer.
func (w *ways) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	if t.Connection == transport.Local {
		return w.local.Dial(ctx, t)
	}
	return w.ssh.Dial(ctx, t)
}

// Close ends what the dialers share.
func (w *ways) Close() { _ = w.ssh.Close() } // the run is over

// results are the counts of a run in one line.
func results(r checkpoint.Summary) string {
	if r.Problem != "" {
		return r.Problem
	}
	var out []string
	for status, n := range r.Counts {
		if n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, status))
		}
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}
