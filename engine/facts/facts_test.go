package facts

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/host"
	"github.com/kflow/kflow/engine/task"
)

// fake is a machine of files, whose one program is ip (and uname, where the machine has it).
type fake struct {
	task.Host
	files map[string]string
	runs  map[string]string
}

func (f fake) ReadFile(_ context.Context, p string) ([]byte, error) {
	if text, ok := f.files[p]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

func (f fake) Stat(_ context.Context, p string) (task.FileInfo, error) {
	if _, ok := f.files[p]; !ok {
		return task.FileInfo{}, fs.ErrNotExist
	}
	return task.FileInfo{}, nil
}

func (f fake) Glob(_ context.Context, pattern string) ([]string, error) {
	var out []string
	for p := range f.files {
		if ok, _ := path.Match(pattern, p); ok {
			out = append(out, p)
		}
	}
	return out, nil
}

func (f fake) Run(_ context.Context, c task.Command) (task.Output, error) {
	if !c.ReadOnly {
		panic("facts run a command that may write")
	}
	return task.Output{Stdout: f.runs[c.String()]}, nil
}

const centos7 = `NAME="CentOS Linux"
VERSION="7 (Core)"
ID="centos"
ID_LIKE="rhel fedora"
VERSION_ID="7"
PRETTY_NAME="CentOS Linux 7 (Core)"
`

func server() fake {
	return fake{
		files: map[string]string{
			"/proc/sys/kernel/hostname":        "cp1.example.com\n",
			"/etc/machine-id":                  "abc\n",
			"/sys/class/dmi/id/product_uuid":   "4C4C4544-0042\n",
			"/proc/sys/kernel/random/boot_id":  "boot\n",
			"/etc/os-release":                  centos7,
			"/proc/sys/kernel/osrelease":       "3.10.0-1160.el7.x86_64\n",
			"/sys/devices/system/cpu/online":   "0-3,5\n",
			"/proc/meminfo":                    "MemTotal:       16266632 kB\nMemFree: 1 kB\nSwapTotal: 2097148 kB\n",
			"/run/systemd/system":              "",
			"/sys/fs/cgroup":                   "",
			"/sys/fs/selinux/enforce":          "1",
			"/usr/bin/yum":                     "",
			"/proc/self/status":                "Name:\tx\nUid:\t0\t0\t0\t0\n",
			"/etc/passwd":                      "root:x:0:0:root:/root:/bin/bash\n",
			"/sys/class/net/lo/address":        "00:00:00:00:00:00\n",
			"/sys/class/net/eth0/address":      "52:54:00:00:00:02\n",
			"/sys/class/net/eth1/address":      "52:54:00:00:00:01\n",
			"/sys/class/net/cali12345/address": "ee:ee:ee:ee:ee:ee\n",
			"/sys/class/net/docker0/address":   "02:42:00:00:00:01\n",
			"/proc/net/route":                  "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\nwlan0\t00000000\t0100000A\t0003\t0\t0\t600\t00000000\neth1\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\neth0\t0000630A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n",
		},
		runs: map[string]string{"uname -m": "aarch64\n", "ip -o addr show": `1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
2: eth0    inet 10.99.0.11/24 brd 10.99.0.255 scope global eth0\       valid_lft forever
2: eth0    inet6 fe80::5054:ff:fe00:2/64 scope link \       valid_lft forever
3: eth1@if7    inet 192.0.2.5/24 brd 192.0.2.255 scope global eth1\       valid_lft forever
3: eth1@if7    inet6 2001:db8::5/64 scope global \       valid_lft forever
4: docker0    inet 172.17.0.1/16 scope global docker0\       valid_lft forever
`},
	}
}

func TestGatherFromFiles(t *testing.T) {
	f, err := Gather(t.Context(), server())
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{"192.0.2.5", "2001:db8::5", "10.99.0.11", "172.17.0.1"}
	macs := []string{"52:54:00:00:00:01", "52:54:00:00:00:02"}
	if !slices.Equal(f.Addresses, addresses) || !slices.Equal(f.MACs, macs) || f.Interface != "eth1" {
		t.Errorf("network: %v %v %s", f.Addresses, f.MACs, f.Interface)
	}
	f.Addresses, f.MACs, f.Interface = nil, nil, ""
	got := *f
	want := task.Facts{Hostname: "cp1", MachineID: "abc", ProductUUID: "4c4c4544-0042", BootID: "boot", Arch: "arm64",
		Kernel: "3.10.0-1160.el7.x86_64", CPUs: 5, MemoryMB: 15885, SwapMB: 2047, Init: "systemd", Cgroup: 1, PackageManager: "yum",
		SELinux: "enforcing", User: "root",
		OS: task.OS{ID: "centos", Family: "rhel", Version: "7", Major: 7, Name: "CentOS Linux 7 (Core)"}}
	if got.OS != want.OS {
		t.Errorf("OS %+v", got.OS)
	}
	got.Addresses, got.MACs = want.Addresses, want.MACs
	if got.Hostname != want.Hostname || got.ProductUUID != want.ProductUUID || got.Arch != want.Arch || got.CPUs != want.CPUs ||
		got.MemoryMB != want.MemoryMB || got.SwapMB != want.SwapMB || got.Init != want.Init || got.Cgroup != want.Cgroup ||
		got.PackageManager != want.PackageManager || got.SELinux != want.SELinux || got.User != want.User || got.BootID != want.BootID {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTheInventorysAddressDecidesTheInterface(t *testing.T) {
	for prefer, want := range map[string]string{"10.99.0.11": "eth0", "2001:db8::5": "eth1", "172.17.0.1": "docker0", "203.0.113.9": "eth1",
		"cp1.example.com": "eth1", "": "eth1"} {
		f, _ := Gather(t.Context(), server(), prefer, "203.0.113.1")
		if f.Interface != want {
			t.Errorf("%q: %s, want %s", prefer, f.Interface, want)
		}
	}
}

func TestOSReleaseOfManySystems(t *testing.T) {
	for text, want := range map[string]task.OS{
		"ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME='Debian 12'": {ID: "debian", Family: "debian", Version: "12", Major: 12, Name: "Debian 12", Code: "bookworm"},
		"ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"22.04\"":                                  {ID: "ubuntu", Family: "debian", Version: "22.04", Major: 22},
		"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.3\"":                 {ID: "rocky", Family: "rhel", Version: "9.3", Major: 9},
		"# a comment\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n\nVERSION_ID=\"21\"":        {ID: "linuxmint", Family: "debian", Version: "21", Major: 21},
		"ID=fedora\nVERSION_ID=39": {ID: "fedora", Family: "rhel", Version: "39", Major: 39},
		"ID=alpine":                {ID: "alpine"},
	} {
		if got := ParseOSRelease(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestWhatIsNotLinuxIsAnError(t *testing.T) {
	if _, err := Gather(t.Context(), fake{}); err == nil {
		t.Error("no error")
	}
}

func TestThisMachine(t *testing.T) {
	f, err := Gather(t.Context(), host.New(host.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if f.Kernel == "" || f.BootID == "" || f.CPUs == 0 || f.MemoryMB == 0 || f.Arch == "" || f.User == "" || strings.Contains(f.Hostname, ".") {
		t.Errorf("%+v", f)
	}
}

// A machine that says next to nothing has lists that are empty, not absent: an expression may ask how long they are.
func TestListsAreThere(t *testing.T) {
	f, err := Gather(t.Context(), fake{files: map[string]string{"/proc/sys/kernel/osrelease": "6.1.0\n"}})
	if err != nil {
		t.Fatal(err)
	}
	if f.MACs == nil || f.Addresses == nil {
		t.Errorf("MACs %v, addresses %v", f.MACs, f.Addresses)
	}
}
