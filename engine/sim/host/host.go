// Package host is a Linux machine in memory, behind the interface the real ones have (task.Host): kinds cannot tell.
//
// # What there is
//
// A file system (tree.go, files.go) with modes, owners and links; the files of a fresh installation are shared by all hosts
// of a family (image.go) and a host keeps only what differs. Programs (program.go) are functions that read and change the
// host the way the real ones do, and take the time the real ones take; which of them are there is decided by the files in
// PATH, as on a real machine. systemd, the package managers and the small tools live here; what needs a network of hosts
// (kubeadm, kubectl) is given in Options.Programs.
//
// # What there is not
//
// A program or an argument that nobody has taught the simulator is an *UnknownError, which ends the task: a guess would
// make a rehearsal worthless. A task of kind command can say what its program would do (simulate).
package host

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/kflow/kflow/engine/task"
)

// Options make a host.
type Options struct {
	Name     string // and its name in the network
	IP       string
	Image    *Image
	Seed     uint64
	Clock    Clock
	Network  Network
	Programs map[string]Program         // besides those of this package
	Texts    *Texts                     // nil = of its own
	OnStart  func(h *Host, unit string) // is told of units that start; must not call the host
}

// Host is a simulated machine. It is safe for concurrent use.
type Host struct {
	o    Options
	Name string
	IP   string

	mu       sync.Mutex
	files    *tree
	units    map[string]*unit
	packages map[string]*installed
	images   map[Runtime]map[string]bool // of the container runtime
	running  map[string]int              // programs that run now
	facts    *task.Facts
	boots    int
	runs     uint64 // of programs, so that each takes a time of its own
	started  time.Time
	booted   time.Time

	full bool          // the disk
	slow float64       // factor on what takes time
	skew time.Duration // of its clock

	hardware func(*task.Facts) // what it is made of, where that is not its own; nil = it is
}

var errFull = syscall.ENOSPC

// New returns a host as it is after its installation.
func New(o Options) *Host {
	if o.Texts == nil {
		o.Texts = NewTexts()
	}
	h := &Host{
		o: o, Name: o.Name, IP: o.IP, files: newTree(o.Image.base, o.Texts), units: map[string]*unit{},
		packages: map[string]*installed{}, images: map[Runtime]map[string]bool{}, running: map[string]int{}, slow: 1,
	}
	h.started = o.Clock.Now()
	h.booted = h.started.Add(-time.Hour)
	h.install()
	h.facts = h.gather()
	return h
}

// install puts there what differs between hosts of one image.
func (h *Host) install() {
	text := func(name, s string) {
		h.files.set(name, &node{mode: 0o644, owner: "root", group: "root", data: s, mtime: h.started})
	}
	text("/etc/hostname", "localhost\n")
	text("/proc/sys/kernel/hostname", "localhost\n")
	text("/etc/machine-id", h.id("machine", 16)+"\n")
	for _, name := range h.o.Image.running {
		h.units[name] = &unit{active: "active", sub: "running", loaded: h.fragmentText(name), since: h.started}
	}
}

// id is a number that no other host has, in hex.
func (h *Host) id(what string, bytes int) string {
	out := ""
	for i := 0; len(out) < 2*bytes; i++ {
		out += fmt.Sprintf("%016x", h.hash(fmt.Sprint(what, i)))
	}
	return out[:2*bytes]
}

func (h *Host) hash(what string) uint64 {
	f := fnv.New64a()
	text := append(strconv.AppendUint(make([]byte, 0, 64), h.o.Seed, 10), ' ')
	text = append(append(append(text, h.Name...), ' '), what...)
	_, _ = f.Write(text) // a hash takes everything
	x := f.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}

// gather makes the facts of the present boot.
func (h *Host) gather() *task.Facts {
	im := h.o.Image
	u := h.id("uuid", 16)
	b := h.id(fmt.Sprint("boot", h.boots), 16)
	f := &task.Facts{
		Hostname: firstWord(h.Text("/proc/sys/kernel/hostname")), MachineID: firstWord(h.Text("/etc/machine-id")),
		ProductUUID: u[:8] + "-" + u[8:12] + "-4" + u[13:16] + "-8" + u[17:20] + "-" + u[20:], BootID: b[:8] + "-" + b[8:12] + "-" + b[12:16] + "-" + b[16:20] + "-" + b[20:],
		OS: im.OS, Arch: "amd64", Kernel: im.Kernel, CPUs: 4, MemoryMB: 7941, Addresses: []string{h.IP}, Interface: im.nic,
		MACs: []string{mac(h.IP)}, Init: "systemd", Cgroup: im.cgroup, PackageManager: im.manager, User: "root",
	}
	if h.Swap() {
		f.SwapMB = 2047
	}
	if h.hardware != nil {
		h.hardware(f)
	}
	switch firstWord(h.Text("/sys/fs/selinux/enforce")) {
	case "1":
		f.SELinux = "enforcing"
	case "0":
		f.SELinux = "permissive"
	default:
		if im.selinux {
			f.SELinux = "disabled"
		}
	}
	return f
}

// SetHardware makes the machine say something else of what it is made of: that of a clone.
func (h *Host) SetHardware(set func(*task.Facts)) { h.hardware = set }

func mac(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || !a.Is4() {
		return "52:54:00:00:00:01"
	}
	b := a.As4()
	return fmt.Sprintf("52:54:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}

// Facts implements task.Host.
func (h *Host) Facts() *task.Facts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.facts
}

// Gather takes the facts anew, as at a new connection.
func (h *Host) Gather() *task.Facts {
	f := h.gather()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.facts = f
	return f
}

// Now is the time on the clock of the host.
func (h *Host) Now() time.Time { return h.o.Clock.Now().Add(h.skew) }

func (h *Host) now() time.Time { return h.Now() }

// Swap tells whether swap is in use.
func (h *Host) Swap() bool {
	_, rest, _ := cutLine(h.Text("/proc/swaps"))
	return rest != ""
}

// SetFull fills the disk, or frees it. SetSlow makes everything take longer. SetSkew puts its clock wrong.
func (h *Host) SetFull(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.full = on
}

// SetSlow makes everything on the host take factor times as long.
func (h *Host) SetSlow(factor float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slow = factor
}

// SetSkew puts the clock of the host wrong.
func (h *Host) SetSkew(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.skew = d
}

func (h *Host) share(s string) string { return h.o.Texts.One(s) }

// Each shows every file that differs from a fresh installation, in order: its path, and mode, owner and content.
func (h *Host) Each(show func(path, line string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range h.files.names() {
		if n := h.files.at(name); n != nil {
			show(name, fmt.Sprintf("%v %s:%s %s %q", n.mode, n.owner, n.group, n.target, n.data))
		}
	}
}
