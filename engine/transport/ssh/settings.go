package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kevinburke/ssh_config"

	"github.com/kflow/kflow/engine/transport"
)

const defaultTimeout = 15 * time.Second

// settings are a target with everything looked up.
type settings struct {
	target     transport.Target
	name       string // for messages
	host       string // to dial
	port       int
	user       string
	keyFiles   []string // named by inventory or configuration
	dfltKeys   []string // tried when keyFiles is empty
	onlyKeys   bool     // IdentitiesOnly
	agentSock  string
	knownHosts []string // files; the first gets new keys
	aliases    []string // names under which known_hosts may have the host, as host:port
	jump       []transport.Target
	timeout    time.Duration
}

// address is what is dialled.
func (s *settings) address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// who is user@host, for messages.
func (s *settings) who() string { return s.user + "@" + s.host }

// config is the OpenSSH configuration: the first value found counts, user's file before the system's.
type config struct {
	files []*ssh_config.Config
	home  string
}

func loadConfig(o Options) (*config, error) {
	paths := o.ConfigFiles
	if paths == nil {
		paths = []string{filepath.Join(o.Home, ".ssh", "config"), "/etc/ssh/ssh_config"}
	}
	c := &config{home: o.Home}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f, err := ssh_config.Decode(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		c.files = append(c.files, f)
	}
	return c, nil
}

func (c *config) get(names []string, key string) string {
	for _, f := range c.files {
		for _, name := range names {
			if v, err := f.Get(name, key); err == nil && v != "" {
				return strings.Trim(v, `"`)
			}
		}
	}
	return ""
}

func (c *config) all(names []string, key string) []string {
	var out []string
	for _, f := range c.files {
		for _, name := range names {
			vs, err := f.GetAll(name, key)
			if err == nil && len(vs) > 0 {
				out = append(out, vs...)
				break
			}
		}
	}
	return out
}

// settings looks up what the target does not say.
func (d *Dialer) settings(t transport.Target) (*settings, error) {
	c, err := d.config()
	if err != nil {
		return nil, fmt.Errorf("the OpenSSH configuration cannot be read: %w", err)
	}
	names := []string{t.Name}
	if t.Address != "" {
		names = []string{t.Address, t.Name}
	}
	s := &settings{target: t, name: t.Name, host: t.Address, port: t.Port, user: t.User, onlyKeys: t.KeysOnly,
		jump: t.Jump, timeout: t.ConnectTimeout}
	if s.name == "" {
		s.name = t.Address
	}
	s.fromConfig(c, names)
	if err := s.route(c, names); err != nil {
		return nil, err
	}
	s.keys(d.o, c, names)
	s.hostNames(d.o, c, names)
	return s, nil
}

func (s *settings) fromConfig(c *config, names []string) {
	if s.host == "" {
		s.host = c.expand(c.get(names, "HostName"), map[string]string{"%h": s.target.Name})
	}
	setDefault(&s.host, s.target.Name)
	if s.port == 0 {
		s.port, _ = strconv.Atoi(c.get(names, "Port"))
	}
	setDefault(&s.port, 22)
	if s.user == "" {
		s.user = c.get(names, "User")
	}
	if u, err := user.Current(); err == nil {
		setDefault(&s.user, u.Username)
	}
	if s.timeout == 0 {
		n, _ := strconv.Atoi(c.get(names, "ConnectTimeout"))
		s.timeout = time.Duration(n) * time.Second
	}
	setDefault(&s.timeout, defaultTimeout)
}

// route finds the jump hosts. ProxyCommand is not run.
func (s *settings) route(c *config, names []string) error {
	if s.jump != nil {
		return nil
	}
	via := c.get(names, "ProxyJump")
	if via == "" {
		if cmd := c.get(names, "ProxyCommand"); cmd != "" && cmd != "none" {
			return fmt.Errorf("the OpenSSH configuration has `ProxyCommand %s` for it, which kflow does not run: use ProxyJump", cmd)
		}
		return nil
	}
	if via == "none" {
		return nil
	}
	for hop := range strings.SplitSeq(via, ",") {
		t, err := ParseTarget(strings.TrimSpace(hop))
		if err != nil {
			return fmt.Errorf("ProxyJump %q: %w", via, err)
		}
		s.jump = append(s.jump, t)
	}
	return nil
}

// ParseTarget reads [user@]host[:port], as OpenSSH writes jump hosts.
func ParseTarget(text string) (transport.Target, error) {
	text = strings.TrimPrefix(text, "ssh://")
	var t transport.Target
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		t.User, text = text[:i], text[i+1:]
	}
	t.Name = text
	if host, port, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return t, fmt.Errorf("%q is no port", port)
		}
		t.Name, t.Port = host, n
	}
	t.Name = strings.Trim(t.Name, "[]")
	if t.Name == "" {
		return t, fmt.Errorf("%q names no host", text)
	}
	return t, nil
}

func (s *settings) keys(o Options, c *config, names []string) {
	for _, k := range s.target.Keys {
		s.keyFiles = append(s.keyFiles, c.expand(k, nil))
	}
	tokens := map[string]string{"%h": s.host, "%n": s.target.Name, "%p": strconv.Itoa(s.port), "%r": s.user}
	if !s.target.KeysOnly {
		for _, k := range c.all(names, "IdentityFile") {
			if k != "none" {
				s.keyFiles = append(s.keyFiles, c.expand(strings.Trim(k, `"`), tokens))
			}
		}
		s.onlyKeys = strings.EqualFold(c.get(names, "IdentitiesOnly"), "yes")
	}
	for _, k := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		s.dfltKeys = append(s.dfltKeys, filepath.Join(o.Home, ".ssh", k))
	}
	s.agentSock = o.AgentSocket
	if s.agentSock == "" {
		s.agentSock = c.expand(c.get(names, "IdentityAgent"), tokens)
	}
	if s.agentSock == "" || s.agentSock == "SSH_AUTH_SOCK" {
		s.agentSock = os.Getenv("SSH_AUTH_SOCK")
	}
}

// hostNames finds the known_hosts files and the names to look for in them.
func (s *settings) hostNames(o Options, c *config, names []string) {
	s.knownHosts = nil // not the target's own slice
	for _, f := range s.target.KnownHosts {
		s.knownHosts = append(s.knownHosts, c.expand(f, nil))
	}
	if len(s.knownHosts) == 0 {
		for _, f := range strings.Fields(c.get(names, "UserKnownHostsFile")) {
			s.knownHosts = append(s.knownHosts, c.expand(f, nil))
		}
		if len(s.knownHosts) == 0 {
			dir := filepath.Join(o.Home, ".ssh")
			s.knownHosts = []string{filepath.Join(dir, "known_hosts"), filepath.Join(dir, "known_hosts2")}
		}
		s.knownHosts = append(s.knownHosts, "/etc/ssh/ssh_known_hosts")
	}
	port := strconv.Itoa(s.port)
	if alias := c.get(names, "HostKeyAlias"); alias != "" {
		s.aliases = []string{net.JoinHostPort(alias, "22")}
		return
	}
	s.aliases = []string{s.address()}
	if s.name != "" && s.name != s.host {
		s.aliases = append(s.aliases, net.JoinHostPort(s.name, port))
	}
}

// expand replaces ~ and the tokens of ssh_config(5) that kflow knows.
func (c *config) expand(path string, tokens map[string]string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = c.home + path[1:]
	}
	if !strings.Contains(path, "%") {
		return path
	}
	pairs := []string{"%%", "%", "%d", c.home}
	for k, v := range tokens {
		pairs = append(pairs, k, v)
	}
	return strings.NewReplacer(pairs...).Replace(path)
}
