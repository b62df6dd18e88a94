package e2e

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// spy collects the arguments of processes: those of the hosts are seen from the machine the lab runs on.
type spy struct {
	quit, done chan struct{}
	seen       map[string]bool
}

func watchArguments() *spy {
	s := &spy{quit: make(chan struct{}), done: make(chan struct{}), seen: map[string]bool{}}
	go func() {
		defer close(s.done)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, file := range files {
				if b, err := os.ReadFile(file); err == nil && (bytes.Contains(b, []byte("kube")) || bytes.Contains(b, []byte("kflow"))) {
					s.seen[string(bytes.ReplaceAll(b, []byte{0}, []byte{' '}))] = true
				}
			}
			select {
			case <-s.quit:
				return
			case <-tick.C:
			}
		}
	}()
	return s
}

func (s *spy) stop() string {
	close(s.quit)
	<-s.done
	var b strings.Builder
	for line := range s.seen {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// needle is a secret to search for.
type needle struct{ what, text string }

// written are the forms in which a text can stand in a file.
func (n needle) written() []string {
	b := []byte(n.text)
	return []string{n.text, base64.StdEncoding.EncodeToString(b), hex.EncodeToString(b)}
}

// noSecrets searches everything kflow has printed, all files of the controller, and the hosts.
func noSecrets(t *testing.T, l *lab, c *controller, arguments string) {
	needles := clusterSecrets(t, l)
	places := controllerTexts(t, c)
	places["arguments of processes during the build"] = arguments
	bytesSearched := 0
	for place, text := range places {
		bytesSearched += len(text)
		for _, n := range needles {
			for _, w := range n.written() {
				if strings.Contains(text, w) {
					t.Errorf("%s is in %s", n.what, place)
				}
			}
		}
		if m := regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`).FindString(text); m != "" {
			t.Errorf("%s looks like a bootstrap token, in %s", m, place)
		}
		for _, key := range regexp.MustCompile(`\b[0-9a-f]{64}\b`).FindAllString(text, -1) {
			if opensCertificates(t, l, key) {
				t.Errorf("the key of the uploaded certificates is in %s", place)
			}
		}
	}
	onHosts(t, l, needles)
	t.Logf("searched %d places of the controller (%d kB) and the files of five hosts for %d secrets", len(places), bytesSearched>>10, len(needles))
}

// clusterSecrets are the secrets of the cluster that was built.
func clusterSecrets(t *testing.T, l *lab) []needle {
	t.Helper()
	needles := []needle{{"the VRRP password", vrrpPassword}}
	out, err := l.kubectl(controlPlanes[0], "-n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token -o json")
	if err != nil {
		t.Fatal(err)
	}
	var tokens struct {
		Items []struct{ Data map[string][]byte }
	}
	if err := json.Unmarshal([]byte(out), &tokens); err != nil {
		t.Fatal(err)
	}
	if len(tokens.Items) == 0 {
		t.Error("the cluster has no bootstrap token: nothing to search for")
	}
	for _, s := range tokens.Items {
		needles = append(needles, needle{"a bootstrap token", string(s.Data["token-secret"])})
	}
	for _, key := range []string{"ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key"} {
		lines := strings.Split(l.on(t, controlPlanes[0], "cat /etc/kubernetes/pki/"+key), "\n")
		if len(lines) < 3 {
			t.Fatalf("%s is no key", key)
		}
		needles = append(needles, needle{key, lines[1]})
	}
	return needles
}

// controllerTexts are all outputs and all files of a controller.
func controllerTexts(t *testing.T, c *controller) map[string]string {
	t.Helper()
	places := map[string]string{}
	for i, o := range c.seen {
		places["output "+string(rune('1'+i))+" of kflow "+o.args] = o.out + o.err
	}
	err := filepath.WalkDir(c.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		places[strings.TrimPrefix(path, c.home+"/")] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(keys(places), func(p string) bool { return strings.HasSuffix(p, "events.jsonl") }) {
		t.Error("no event log among the files of the controller")
	}
	return places
}

func keys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

// certificates are those kubeadm uploaded; they are asked for once.
var certificates []byte

// opensCertificates tells whether a hex text is the key of the certificates that were uploaded last.
func opensCertificates(t *testing.T, l *lab, text string) bool {
	t.Helper()
	if certificates == nil {
		out, err := l.kubectl(controlPlanes[0], `-n kube-system get secret kubeadm-certs -o json`)
		if err != nil {
			t.Fatal(err)
		}
		var secret struct{ Data map[string][]byte }
		if err := json.Unmarshal([]byte(out), &secret); err != nil || len(secret.Data["ca.key"]) == 0 {
			t.Fatalf("no uploaded certificates: %v", err)
		}
		certificates = secret.Data["ca.key"]
	}
	key, err := hex.DecodeString(text)
	if err != nil {
		return false
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return false
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(certificates) < gcm.NonceSize() {
		return false
	}
	_, err = gcm.Open(nil, certificates[:gcm.NonceSize()], certificates[gcm.NonceSize():], nil)
	return err == nil
}

// onHosts searches the files of the hosts. A secret may stand in the one file it is meant for.
func onHosts(t *testing.T, l *lab, needles []needle) {
	t.Helper()
	meant := map[string]string{
		"the VRRP password":  "/etc/keepalived/keepalived.conf",
		"ca.key":             "/etc/kubernetes/pki/ca.key",
		"sa.key":             "/etc/kubernetes/pki/sa.key",
		"front-proxy-ca.key": "/etc/kubernetes/pki/front-proxy-ca.key",
		"etcd/ca.key":        "/etc/kubernetes/pki/etcd/ca.key",
	}
	search := "grep -rosF --exclude-dir=kflow-lab --exclude-dir=bin --exclude-dir=sbin"
	for _, n := range needles {
		search += " -e '" + n.text + "'"
	}
	search += " /etc /root /home /var/lib/kflow /var/lib/kubelet /var/log /var/tmp /var/cache /tmp /run /usr/local /opt"
	var wg sync.WaitGroup
	for _, host := range allHosts {
		wg.Add(1)
		go func() {
			defer wg.Done()
			found, _ := l.try("ssh", host, search)
			for line := range strings.Lines(found) {
				file, text, _ := strings.Cut(strings.TrimSpace(line), ":")
				i := slices.IndexFunc(needles, func(n needle) bool { return strings.HasSuffix(text, n.text) })
				if i < 0 || meant[needles[i].what] != file {
					t.Errorf("a secret is in %s of %s: %.20s..", file, host, text)
				}
			}
		}()
	}
	wg.Wait()
	if got := l.on(t, controlPlanes[1], "grep -cF '"+vrrpPassword+"' /etc/keepalived/keepalived.conf; stat -c %a /etc/keepalived/keepalived.conf"); got != "1\n600" {
		t.Errorf("keepalived.conf: %q, want the password once and mode 600", got)
	}
}
