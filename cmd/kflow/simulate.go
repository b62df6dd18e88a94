package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kflow/kflow/engine"
	"github.com/kflow/kflow/engine/event"
	"github.com/kflow/kflow/engine/sim"
	"github.com/kflow/kflow/engine/sim/host"
)

// rehearsal are the switches of a simulated run.
type rehearsal struct {
	hosts       []string
	seed        uint64
	os          []string
	packages    []string
	faults      []string
	file        string
	speed       float64
	resumeAfter time.Duration
	resume      bool
	again       bool
	fast        bool
	sweep       int
}

func (a *app) simulateCommand() *cobra.Command {
	var cfg engine.Config
	var r rehearsal
	c := &cobra.Command{
		Use:   "simulate PLAYBOOK",
		Short: "Rehearse a playbook on simulated hosts: no machines, no root, no network",
		Long: "Carries the whole playbook out on simulated hosts, in memory and in simulated time. No inventory is needed: hosts are\n" +
			"made for the groups of the playbook. Faults can be injected: TASK@HOST:KIND[:ARGUMENT], where TASK or HOST may be left\n" +
			"out. Kinds: fail[:N|forever], lost[:N], drop[:N], slow[:FACTOR], unreachable[:N|forever], reboot, disk-full,\n" +
			"clock[:DURATION], corrupt[:N], expired, kill; controller:kill:EVENT kills the controller at an event.",
		Example: `  kflow simulate playbooks/ha-containerd.yaml --again
  kflow simulate playbooks/ha-containerd.yaml --hosts workers=50 --os debian12,rocky9
  kflow simulate playbooks/ha-containerd.yaml --fault join_control_plane@k8s-mn02:unreachable:forever --resume-after 3h
  kflow simulate playbooks/ha-containerd.yaml --sweep=20`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg.Playbook = args[0]
			r.resume = c.Flags().Changed("resume-after")
			return a.rehearse(c.Context(), cfg, r)
		},
	}
	a.sourceFlags(c, &cfg)
	a.runFlags(c, &cfg)
	a.rehearsalFlags(c, &r)
	f := c.Flags()
	f.StringVar(&r.file, "faults", "", "YAML `FILE` with a list of faults")
	f.Float64Var(&r.speed, "speed", 0, "`N` simulated seconds per real one, to watch it; 0 = as fast as it goes")
	f.DurationVar(&r.resumeAfter, "resume-after", 0, "when the run has failed: heal all faults, let this `DURATION` of simulated time go by, resume")
	f.BoolVar(&r.again, "again", false, "run a second time on the same hosts, which should change nothing")
	f.IntVar(&r.sweep, "sweep", 0, "try every kind of fault at every instance: fail, heal, resume; --sweep=`N` only every Nth")
	f.Lookup("sweep").NoOptDefVal = "1"
	f.BoolVar(&r.fast, "fast", false, "use all cores; what happens within 5s may come in another order each time")
	return c
}

// rehearsalFlags are those that `kflow run --simulate` has too.
func (a *app) rehearsalFlags(c *cobra.Command, r *rehearsal) {
	f := c.Flags()
	f.StringArrayVar(&r.hosts, "hosts", nil, "`GROUP=N` simulated hosts; can be repeated")
	f.Uint64Var(&r.seed, "seed", 1, "`N`: the same seed gives the same run")
	f.StringSliceVar(&r.os, "os", nil, "`LIST` of operating systems of the hosts, in turn: rocky9, debian12, ubuntu24.04, centos7")
	f.StringArrayVar(&r.packages, "package", nil, "`NAME[=VERSION][,UNIT...]` that the hosts can install, besides what the simulator knows; can be repeated")
	f.StringArrayVar(&r.faults, "fault", nil, "`TASK@HOST:KIND[:ARGUMENT]` that goes wrong; can be repeated")
}

// rehearse runs the playbook in a simulated world.
func (a *app) rehearse(ctx context.Context, cfg engine.Config, r rehearsal) error {
	sizes, err := sim.ParseSizes(r.hosts)
	if err != nil {
		return err
	}
	if r.speed < 0 {
		return fmt.Errorf("--speed %v: time runs forward only; 0 is as fast as it goes", r.speed)
	}
	if err := sim.CheckFamilies(r.os); err != nil {
		return fmt.Errorf("--os: %w", err)
	}
	o := sim.Options{Seed: r.seed, OS: r.os, Kinds: cfg.Kinds}
	for _, text := range r.packages {
		e, err := host.ParseExtra(text)
		if err != nil {
			return err
		}
		o.Packages = append(o.Packages, e)
	}
	cfg.Stage = &engine.Stage{Inventory: sizes.Inventory}
	p, err := a.open(ctx, cfg)
	if err != nil {
		return err
	}
	if r.sweep > 0 {
		return a.sweep(ctx, p, r, o)
	}
	o.Speed, o.Parallel = r.speed, r.fast
	w := sim.NewWorld(o)
	if err := r.addFaults(w, p); err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	s := sim.NewSession(p, w)
	if !r.resume {
		s.Log.Forget()
	}
	return a.sessions(ctx, s, r, signals)
}

// sessions are the run, and what is to follow it.
func (a *app) sessions(ctx context.Context, s *sim.Session, r rehearsal, signals chan os.Signal) error {
	code, err := a.session(ctx, s, signals)
	if err != nil {
		return err
	}
	if code != engine.ExitOK && r.resume {
		fmt.Fprintf(a.err, "\nhealed; %s of simulated time go by; resume\n\n", r.resumeAfter)
		s.Heal(r.resumeAfter)
		if code, err = a.session(ctx, s, signals); err != nil {
			return err
		}
	}
	if code == engine.ExitOK && r.again {
		_, _ = fmt.Fprint(a.err, "\nonce more on the same hosts\n\n")
		if code, err = a.session(ctx, sim.NewSession(s.Project, s.World), signals); err != nil {
			return err
		}
	}
	idle := a.idle(s.World)
	if code != engine.ExitOK {
		return &engine.ExitError{Code: code}
	}
	return idle
}

func (a *app) session(ctx context.Context, s *sim.Session, signals chan os.Signal) (int, error) {
	sink, err := a.sink(a.out)
	if err != nil {
		return 0, err
	}
	defer sim.Room()()
	path := sim.NewPath(s.Project)
	began := time.Now()
	result, err := s.Run(ctx, event.SinkFunc(func(e event.Event) {
		path.Emit(e)
		e.Run = "" // there is no run to resume
		sink.Emit(e)
	}), signals)
	a.close(sink, "")
	if sim.Killed(err) {
		_, _ = fmt.Fprintln(a.err, "the controller was killed (simulated)")
		return engine.ExitFailed, nil
	}
	if err != nil {
		return 0, &engine.ExitError{Code: max(result.Exit, engine.ExitFailed), Err: err}
	}
	if a.output == "plain" {
		_, _ = fmt.Fprint(a.out, path.Report(time.Since(began)))
	}
	return result.Exit, nil
}

// sweep tries all faults at all instances and prints a table.
func (a *app) sweep(ctx context.Context, p *engine.Project, r rehearsal, o sim.Options) error {
	began := time.Now()
	s := sim.Sweep{Project: p, Every: r.sweep, Workers: runtime.GOMAXPROCS(0), Gap: max(r.resumeAfter, time.Minute), Options: o}
	s.Done = func(n, all int) {
		if n%500 == 0 {
			fmt.Fprintf(a.err, "%d of %d cases\n", n, all)
		}
	}
	cases, err := s.Run(ctx)
	if err != nil {
		return err
	}
	table, wrong := sim.Table(cases)
	fmt.Fprintf(a.out, "%stook %s\n", table, time.Since(began).Round(time.Second))
	if wrong > 0 {
		return &engine.ExitError{Code: engine.ExitFailed}
	}
	return nil
}

// addFaults adds the faults that were asked for; one that matches nothing is an error.
func (r rehearsal) addFaults(w *sim.World, p *engine.Project) error {
	var list []sim.FileFault
	for _, text := range r.faults {
		list = append(list, sim.FileFault{Text: text})
	}
	if r.file != "" {
		text, err := os.ReadFile(r.file)
		if err != nil {
			return err
		}
		more, err := sim.ParseFaultFile(r.file, string(text))
		if err != nil {
			return err
		}
		list = append(list, more...)
	}
	targets := sim.Targets(p)
	for _, l := range list {
		f, err := sim.ParseFault(strings.TrimSpace(l.Text))
		if err == nil {
			err = f.Check(targets)
		}
		switch {
		case err != nil && l.Pos != "":
			return fmt.Errorf("%s: %w", l.Pos, err)
		case err != nil:
			return err
		}
		w.Faults.Add(f)
	}
	return nil
}

// idle says which faults have struck nothing: a rehearsal that proves nothing is none.
func (a *app) idle(w *sim.World) error {
	list := w.Faults.Idle()
	for _, text := range list {
		_, _ = fmt.Fprintln(a.err, text)
	}
	if len(list) == 0 {
		return nil
	}
	return &engine.ExitError{Code: engine.ExitUsage}
}
