package pkgmgr

import (
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		have, want string
		ok         bool
	}{
		{"1.29.6-1.1", "1.29.6", true}, {"1.20.2-00", "1.20.2", true}, {"1.29.6-150500.1.1", "1.29.6", true}, {"1.29.6", "v1.29.6", true},
		{"1.29.60-1.1", "1.29.6", false}, {"1.29.6.1-1", "1.29.6", false}, {"18.06.1.ce-3.el7", "18.06.1", true}, {"5:24.0.7-1~debian", "24.0.7", true},
		{"3:18.06.1.ce-3.el7", "3:18.06.1", true}, {"2:18.06.1", "3:18.06.1", false}, {"1.29.6-1.1", "1.29.*", true}, {"1.30.1", "1.29.*", false},
		{"1.6.20~ds1-1+deb12u3", "1.6.20", true}, {"anything", "", true}, {"1.29.6-1.1", "1.29", false},
	} {
		if got := Matches(c.have, c.want); got != c.ok {
			t.Errorf("Matches(%q, %q) = %v", c.have, c.want, got)
		}
	}
}

func TestCompare(t *testing.T) {
	order := []string{"0.9", "1.0~rc1", "1.0", "1.0a", "1.0-1", "1.0-2", "1.0-10", "1.1", "1.10", "10.0", "1:0.1"}
	for i := range order {
		for j := range order {
			want := 0
			if i != j {
				want = sign(i - j)
			}
			if got := Compare(order[i], order[j]); got != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", order[i], order[j], got, want)
			}
		}
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		want, have string
		older      bool
	}{
		{"1.29.6", "1.30.1-1.1", true}, {"1.29.6", "1.29.6-1.1", false}, {"1.30.1", "1.29.6-1.1", false}, {"1.29.*", "1.30.0-1", true},
		{"24.0.7", "5:25.0.1-1", true}, {"", "1", false}, {"1.29.10", "1.29.9-1.1", false},
	} {
		if got := Older(c.want, c.have); got != c.older {
			t.Errorf("Older(%q, %q) = %v", c.want, c.have, got)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	const out = `kubeadm:
  Installed: 1.29.6-1.1
  Candidate: 1.29.7-1.1
  Version table:
     1.29.7-1.1 500
        500 https://pkgs.k8s.io/core:/stable:/v1.29/deb  Packages
 *** 1.29.6-1.1 500
        500 https://pkgs.k8s.io/core:/stable:/v1.29/deb  Packages
        100 /var/lib/dpkg/status
awk:
  Installed: (none)
  Candidate: (none)
  Version table:
`
	got := parsePolicy(out)
	if v := strings.Join(got["kubeadm"], " "); v != "1.29.7-1.1 1.29.6-1.1" || len(got["awk"]) != 0 {
		t.Errorf("%v", got)
	}
}

func TestExcludes(t *testing.T) {
	for _, c := range []struct{ before, on, off string }{
		{"[main]\ngpgcheck=1\n", "[main]\nexclude=a b\ngpgcheck=1\n", "[main]\ngpgcheck=1\n"},
		{"[main]\nexcludepkgs = x, a\n", "[main]\nexclude=x a b\n", "[main]\nexclude=x\n"},
		{"", "[main]\nexclude=a b\n", "[main]\n"},
	} {
		on := setExcludes(c.before, []string{"a", "b"}, true)
		if on != c.on {
			t.Errorf("%q: %q, want %q", c.before, on, c.on)
		}
		if again := setExcludes(on, []string{"a", "b"}, true); again != on {
			t.Errorf("%q: twice: %q", c.before, again)
		}
		if off := setExcludes(on, []string{"a", "b"}, false); strings.TrimSpace(off) != strings.TrimSpace(c.off) {
			t.Errorf("%q: off: %q, want %q", c.before, off, c.off)
		}
	}
}

func TestLockedTo(t *testing.T) {
	list := "# comment\nkubeadm-0:1.29.6-150500.1.1.*\n0:kubelet-1.13.1-0.*\nkube-extras-1:2-3.*\n2:kubectl-4-5.*\n"
	for name, want := range map[string]string{"kubeadm": "1.29.6-150500.1.1.*", "kubelet": "1.13.1-0.*", "kube": "", "kube-extras": "1:2-3.*", "kubectl": "2:4-5.*"} {
		if got := lockedTo(list, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestFitsLock(t *testing.T) {
	for _, c := range []struct {
		version, lock string
		fits          bool
	}{
		{"1.29.6-150500.1.1", "1.29.6-150500.1.1.*", true}, {"1.29.7-150500.1.1", "1.29.6-150500.1.1.*", false}, {"1.29.6-150500.1.1", "1.29.*", true},
		{"1.29.6-150500.1.1", "1.29.6", true}, {"1.29.6-150500.1.1", "1.29.6-150500.1.1", true}, {"3:26.1.4-1.el9", "3:26.1.4-1.el9.*", true},
		{"1.29.6-150500.1.1", "1.28.*", false},
	} {
		if got := fitsLock(c.version, c.lock); got != c.fits {
			t.Errorf("fitsLock(%q, %q) = %v", c.version, c.lock, got)
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("1.0~rc1", "1:1.0")
	f.Fuzz(func(t *testing.T, a, b string) {
		if Compare(a, b) != -Compare(b, a) || Compare(a, a) != 0 {
			t.Errorf("%q %q: not an order", a, b)
		}
	})
}
