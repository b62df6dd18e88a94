package host

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
)

// Extra is a package that a site has and the simulator does not know, or a version of one that it knows. It brings a
// program of its name, which does nothing and succeeds, and its units.
type Extra struct {
	Name, Version string
	Units         []string
}

var (
	packageName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_-]*$`)
	packageVersion = regexp.MustCompile(`^([0-9]+:)?[A-Za-z0-9][A-Za-z0-9.+~^_-]*$`)
)

// ParseExtra reads NAME[=VERSION][,UNIT...].
func ParseExtra(text string) (Extra, error) {
	parts := strings.Split(text, ",")
	name, version, given := strings.Cut(parts[0], "=")
	e := Extra{Name: name, Version: version}
	if !packageName.MatchString(name) || given && !packageVersion.MatchString(version) {
		return e, fmt.Errorf("--package %q: want NAME[=VERSION][,UNIT...], for example nginx=1.22.1-9,nginx.service", text)
	}
	for _, unit := range parts[1:] {
		if !packageName.MatchString(unit) {
			return e, fmt.Errorf("--package %q: %q is not the name of a unit", text, unit)
		}
		e.Units = append(e.Units, full(unit))
	}
	return e, nil
}

// extend adds a package, or a version of one.
func (im *Image) extend(e Extra) {
	p := im.catalog[e.Name]
	if p == nil {
		p = &pkg{name: e.Name, origin: distribution, takes: 2 * time.Second}
		im.catalog[e.Name] = p
		if im.programs[e.Name] == nil {
			p.files = program(e.Name)
			im.programs[e.Name] = func(*Proc) int { return 0 }
			im.brought = append(im.brought, e.Name)
		}
		e.Version = cmp.Or(e.Version, im.full("1.0"))
	}
	if e.Version != "" {
		p.versions = append([]string{e.Version}, p.versions...)
	}
	for _, unit := range e.Units {
		at := "/usr/bin/" + strings.TrimSuffix(unit, path.Ext(unit))
		p.files = append(p.files, pkgFile{at, "simulated " + e.Name + "\n", 0o755}, pkgFile{"/usr/lib/systemd/system/" + unit, unitText(unit, at), 0o644})
		p.units = append(p.units, unit)
	}
}

// nginx checks whether the blocks of a configuration are closed, and no more.
func nginx(p *Proc) int {
	flags, _ := p.Flags("-c", "-s", "-g")
	file := cmp.Or(flags["-c"], "/etc/nginx/nginx.conf")
	if _, version := flags["-v"]; version {
		p.Errorf("nginx version: nginx/%s\n", plainVersion(p.Host.Installed("nginx")))
		return 0
	}
	if _, check := flags["-t"]; !check && flags["-s"] != "reload" {
		return p.Unknown()
	}
	switch text := p.Host.Text(file); {
	case !p.Host.Exists(file):
		return p.Fail("nginx: [emerg] open() %q failed (2: No such file or directory)", file)
	case strings.Count(text, "{") > strings.Count(text, "}"):
		return p.Fail("nginx: [emerg] unexpected end of file, expecting \"}\" in %s:%d\nnginx: configuration file %s test failed", file, strings.Count(text, "\n")+1, file)
	case strings.Count(text, "{") < strings.Count(text, "}"):
		return p.Fail("nginx: [emerg] unexpected \"}\" in %s\nnginx: configuration file %s test failed", file, file)
	}
	if _, quiet := flags["-q"]; !quiet {
		p.Errorf("nginx: the configuration file %s syntax is ok\nnginx: configuration file %s test is successful\n", file, file)
	}
	return 0
}
