// Package sim carries playbooks out on simulated hosts: in memory, in simulated time, with no root and no network. There is
// one engine and one set of kinds; only the hosts under them, and the time, are others.
//
// A World is the hosts and what is between them (packages host, cluster, internet) and a clock (package clock). Its Dialer
// gives the engine connections to them. What goes wrong in it is said by Faults (fault.go). Rehearse (rehearse.go) runs a
// project in a World, heals it and goes on; Sweep (sweep.go) does so for every instance and every kind of fault.
package sim

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kflow/kflow/engine/sim/clock"
	"github.com/kflow/kflow/engine/sim/cluster"
	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/engine/sim/internet"
	"github.com/kflow/kflow/engine/task"
)

// Options make a World.
type Options struct {
	Seed     uint64
	OS       []string // families of the hosts, taken in turn; nil = rocky9
	Kinds    *task.Registry
	Parallel bool         // use all cores; runs are not repeatable then
	Speed    float64      // simulated seconds per real one; 0 = as fast as it goes
	Images   *Images      // shared with other worlds; nil = of its own
	Packages []host.Extra // that can be installed besides those the simulator knows; of no use with Images
}

// World is simulated hosts and what is between them. Hosts come into being when they are dialled first.
type World struct {
	o        Options
	Clock    *clock.Clock
	Network  *cluster.Network
	Faults   *Faults
	internet *internet.Internet
	saved    *host.Saved
	images   *Images
	programs map[string]host.Program
	kinds    *memo

	mu    sync.Mutex
	hosts map[string]*host.Host
	order []string
	busy  map[string][]*request // what runs on hosts now
	texts *host.Texts
}

// NewWorld returns a world without hosts.
func NewWorld(o Options) *World {
	if len(o.OS) == 0 {
		o.OS = []string{"rocky9"}
	}
	if o.Images == nil {
		o.Images = NewImages(o.Packages...)
	}
	w := &World{o: o, Clock: clock.New(clock.Options{Parallel: o.Parallel, Speed: o.Speed}), internet: internet.New(), saved: new(host.Saved),
		images: o.Images, hosts: map[string]*host.Host{}, busy: map[string][]*request{}, texts: host.NewTexts(), kinds: newMemo(o.Kinds)}
	w.Network = cluster.New(o.Seed, w.Clock)
	w.programs = w.Network.Programs()
	w.Network.Internet = w.download
	w.Faults = newFaults(w)
	return w
}

// Images are installed operating systems that worlds share.
type Images struct {
	further []host.Extra

	mu  sync.Mutex
	all map[string]*host.Image
}

// NewImages returns an empty set. The packages can be had besides those the simulator knows.
func NewImages(further ...host.Extra) *Images {
	return &Images{further: further, all: map[string]*host.Image{}}
}

func (i *Images) get(family string) (*host.Image, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if im := i.all[family]; im != nil {
		return im, nil
	}
	im := host.NewImage(family, i.further...)
	if im == nil {
		return nil, unknown("operating system", family, host.Families())
	}
	i.all[family] = im
	return im, nil
}

// Host is the host of that name, which is made when it is not there yet. number is its place in the inventory.
func (w *World) Host(name, ip string, number int) (*host.Host, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.hosts[name]; h != nil {
		return h, nil
	}
	im, err := w.images.get(w.o.OS[number%len(w.o.OS)])
	if err != nil {
		return nil, err
	}
	h := host.New(host.Options{Name: name, IP: ip, Image: im, Seed: w.o.Seed, Clock: w.Clock, Network: w.Network, Programs: w.programs,
		Texts: w.texts, OnStart: w.Network.OnStart})
	w.hosts[name] = h
	w.order = append(w.order, name)
	w.Network.Add(h)
	return h, nil
}

func (w *World) download(from *host.Host, req *http.Request) (*http.Response, error) {
	resp, takes := w.internet.Get(req, !internet.IsChecksum(req.URL.Path) && w.Faults.corrupts(from.Name))
	if err := w.Clock.Sleep(req.Context(), takes); err != nil {
		return nil, err
	}
	return resp, nil
}

func (w *World) begin(r *request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy[r.h.Name] = append(w.busy[r.h.Name], r)
}

func (w *World) end(r *request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy[r.h.Name] = slices.DeleteFunc(w.busy[r.h.Name], func(x *request) bool { return x == r })
}

// takeDown takes a host off the network: what else runs there is cut off.
func (w *World) takeDown(name string, by *request) {
	w.Network.SetDown(name, true)
	w.mu.Lock()
	others := slices.Clone(w.busy[name])
	w.mu.Unlock()
	for _, r := range others {
		if r != by {
			w.Clock.Cancel(r.cancel, errCut)
		}
	}
}

// Pass lets time go by while nothing runs.
func (w *World) Pass(d time.Duration) { w.Clock.Pass(d) }

// unknown is the error for a name that there is not.
func unknown(what, got string, known []string) error {
	return &NameError{What: what, Got: got, Known: known}
}

// CheckFamilies tells whether there are operating systems of these names.
func CheckFamilies(list []string) error {
	for _, family := range list {
		if !slices.Contains(host.Families(), family) {
			return unknown("operating system", family, host.Families())
		}
	}
	return nil
}

// NameError is a name that stands for nothing.
type NameError struct {
	What, Got string
	Known     []string
}

func (e *NameError) Error() string { return fmt.Sprintf("there is no %s `%s`", e.What, e.Got) }
