package host_test

import (
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/sim/host"
	"github.com/kflow/kflow/engine/task"
)

func TestParseExtra(t *testing.T) {
	for text, want := range map[string]host.Extra{
		"agent":                           {Name: "agent"},
		"agent=2.3":                       {Name: "agent", Version: "2.3"},
		"agent=1:2.3-4.el9,one,two.timer": {Name: "agent", Version: "1:2.3-4.el9", Units: []string{"one.service", "two.timer"}},
	} {
		got, err := host.ParseExtra(text)
		if err != nil || got.Name != want.Name || got.Version != want.Version || strings.Join(got.Units, " ") != strings.Join(want.Units, " ") {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "=1", "a b", "agent=", "agent=1 2", "agent,", "../agent", "agent=1,/unit"} {
		if got, err := host.ParseExtra(text); err == nil || !strings.Contains(err.Error(), "--package") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// What a site declares is not there before it is installed, and then with program and unit.
func TestExtraPackages(t *testing.T) {
	for family, install := range map[string]string{"rocky9": "dnf -y install agent-2.3-4", "debian12": "apt-get -y install agent=2.3-4"} {
		t.Run(family, func(t *testing.T) {
			h := newHost(family, "a", host.NewImage(family, host.Extra{Name: "agent", Version: "2.3-4", Units: []string{"collect.service"}}))
			run := func(line string) task.Output {
				o, err := h.Run(t.Context(), task.Cmd(strings.Fields(line)...))
				if err != nil {
					o.Code = -1
				}
				return o
			}
			if run("agent --check").Code != -1 || run("systemctl start collect").Code == 0 {
				t.Error("the package is there before it is installed")
			}
			run("apt-get update")
			if o := run(install); o.Code != 0 || h.Installed("agent") != "2.3-4" {
				t.Fatalf("%s: %+v", install, o)
			}
			if o := run("agent --check"); o.Code != 0 {
				t.Errorf("its program: %+v", o)
			}
			if o := run("systemctl start collect"); o.Code != 0 {
				t.Errorf("its unit: %+v", o)
			}
		})
	}
}

// nginx checks what a site gives it.
func TestNginx(t *testing.T) {
	h := newHost("rocky9", "a", nil)
	run := func(line string) task.Output {
		o, err := h.Run(t.Context(), task.Cmd(strings.Fields(line)...))
		if err != nil {
			t.Fatal(line, err)
		}
		return o
	}
	run("dnf -y install nginx")
	if !h.Exists("/etc/nginx/conf.d") {
		t.Error("there is no place for sites")
	}
	for text, want := range map[string]string{"server { listen 80; }\n": "syntax is ok", "server { listen 80;\n": "unexpected end of file", "server { } }\n": `unexpected "}"`} {
		if err := h.Write("/tmp/site.conf", text, 0o644); err != nil {
			t.Fatal(err)
		}
		if o := run("nginx -t -c /tmp/site.conf"); !strings.Contains(o.Stderr, want) || (o.Code == 0) != (want == "syntax is ok") {
			t.Errorf("%s: %+v", text, o)
		}
	}
	if o := run("nginx -t -c /tmp/none.conf"); o.Code == 0 || !strings.Contains(o.Stderr, "No such file") {
		t.Errorf("%+v", o)
	}
}
