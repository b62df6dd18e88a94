package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxAsk is how often a wrong passphrase may be given.
const maxAsk = 3

// keyring knows the private keys of this run: from files, each read once, and from ssh-agent.
//
// An encrypted key is offered by its public part; its passphrase is asked for when a host wants a signature, once for the
// whole run.
type keyring struct {
	ask func(context.Context, Question) (string, error)

	mu     sync.Mutex
	files  map[string]*keyFile
	silent map[string]error // agents that were waited for in vain, by socket: they are not asked again
}

func newKeyring(o Options) *keyring {
	k := &keyring{files: map[string]*keyFile{}, silent: map[string]error{}}
	k.ask = serialised(o.Ask)
	return k
}

// serialised asks one question at a time.
func serialised(ask func(context.Context, Question) (string, error)) func(context.Context, Question) (string, error) {
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, q Question) (string, error) {
		if ask == nil {
			return "", fmt.Errorf("there is nobody to ask for the %s", q.Prompt)
		}
		if err := take(ctx, turn); err != nil {
			return "", err
		}
		defer func() { <-turn }()
		return ask(ctx, q)
	}
}

// offer is a key to log in with, and its name for people.
type offer struct {
	signer gossh.Signer
	name   string
}

// offers are the keys for a host, in the order in which they are tried: those the settings name (through the agent where
// it has them), then the others of the agent, then the default files. Hosts refuse a login after some keys (MaxAuthTries,
// 6 as a rule), so the named ones come first. notes say which keys could not be used. done gives them back.
func (k *keyring) offers(s *settings) (out []offer, notes []string, done func()) {
	inAgent, done, err := k.fromAgent(s.agentSock)
	if err != nil {
		notes = append(notes, "ssh-agent: "+err.Error())
	}
	used := func(key gossh.PublicKey) bool {
		return slices.ContainsFunc(out, func(o offer) bool { return sameKey(o.signer.PublicKey(), key) })
	}
	files := s.keyFiles
	if len(files) == 0 {
		files = s.dfltKeys
	}
	for _, file := range files {
		f, err := k.file(file)
		switch {
		case errors.Is(err, fs.ErrNotExist) && len(s.keyFiles) == 0:
			continue
		case err != nil:
			notes = append(notes, err.Error())
			continue
		}
		i := slices.IndexFunc(inAgent, func(o offer) bool { return sameKey(o.signer.PublicKey(), f.public) })
		switch {
		case used(f.public):
		case i >= 0:
			out = append(out, inAgent[i])
		case f.signer != nil:
			out = append(out, offer{f.signer, file})
		}
	}
	if s.onlyKeys {
		return out, notes, done
	}
	for _, o := range inAgent {
		if !used(o.signer.PublicKey()) {
			out = append(out, o)
		}
	}
	return out, notes, done
}

func sameKey(a, b gossh.PublicKey) bool {
	return a != nil && b != nil && string(a.Marshal()) == string(b.Marshal())
}

const (
	// agentPatience is how long ssh-agent may take to list its keys: one that was forwarded over a connection that is dead
	// never does.
	agentPatience = 5 * time.Second
	// signPatience is how long it may take to sign: a person may have to touch something, once for each host.
	signPatience = 10 * time.Minute
)

// fromAgent are the keys in ssh-agent. Each login has a connection of its own to it, until done is called: while a person is
// asked whether one may use a key the others need not wait for that.
func (k *keyring) fromAgent(socket string) (keys []offer, done func(), err error) {
	done = func() {}
	if socket == "" || socket == "none" {
		return nil, done, nil
	}
	k.mu.Lock()
	err = k.silent[socket]
	k.mu.Unlock()
	if err != nil {
		return nil, done, err
	}
	conn, err := net.DialTimeout("unix", socket, agentPatience)
	if err != nil {
		return nil, done, err
	}
	keys, err = listKeys(conn)
	if err == nil {
		return keys, func() { conn.Close() }, nil
	}
	conn.Close()
	if strings.Contains(err.Error(), "timeout") { // its client wraps no error
		err = fmt.Errorf("no answer within %v at %s", agentPatience, socket)
		k.mu.Lock()
		k.silent[socket] = err
		k.mu.Unlock()
	}
	return nil, done, err
}

func listKeys(conn net.Conn) ([]offer, error) {
	if err := conn.SetDeadline(time.Now().Add(agentPatience)); err != nil {
		return nil, err
	}
	client := agent.NewClient(conn)
	keys, err := client.List()
	if err != nil {
		return nil, err
	}
	signers, err := client.Signers()
	if err != nil {
		return nil, err
	}
	out := make([]offer, 0, len(signers))
	for i, s := range signers {
		name := "ssh-agent"
		if i < len(keys) && keys[i].Comment != "" {
			name += ": " + keys[i].Comment
		}
		out = append(out, offer{s, name})
	}
	return out, conn.SetDeadline(time.Now().Add(signPatience))
}

// keyFile is a private key; signer is nil when only its public part could be read (the agent may have the private one).
type keyFile struct {
	public gossh.PublicKey
	signer gossh.Signer
	err    error
}

func (k *keyring) file(path string) (*keyFile, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.files[path]
	if f == nil {
		f = k.read(path)
		k.files[path] = f
	}
	return f, f.err
}

func (k *keyring) read(path string) *keyFile {
	pem, err := os.ReadFile(path)
	if err != nil {
		if pub := publicFile(path); pub != nil { // the key itself is in the agent
			return &keyFile{public: pub}
		}
		return &keyFile{err: err}
	}
	signer, err := gossh.ParsePrivateKey(pem)
	var locked *gossh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		public := locked.PublicKey
		if public == nil {
			public = publicFile(path)
		}
		if public == nil {
			return &keyFile{err: fmt.Errorf("%s: encrypted in an old format and without %s.pub beside it: run ssh-keygen -p -f %s once", path, path, path)}
		}
		signer = &lockedKey{path: path, pem: pem, public: public, ask: k.ask, turn: make(chan struct{}, 1)}
	case err != nil:
		return &keyFile{err: fmt.Errorf("%s: %w", path, err)}
	}
	return withCertificate(path, signer)
}

func publicFile(path string) gossh.PublicKey {
	b, err := os.ReadFile(strings.TrimSuffix(path, ".pub") + ".pub")
	if err != nil {
		return nil
	}
	pub, _, _, _, err := gossh.ParseAuthorizedKey(b)
	if err != nil {
		return nil
	}
	return pub
}

// withCertificate uses the certificate beside a key, as OpenSSH does.
func withCertificate(path string, signer gossh.Signer) *keyFile {
	f := &keyFile{public: signer.PublicKey(), signer: signer}
	b, err := os.ReadFile(path + "-cert.pub")
	if err != nil {
		return f
	}
	pub, _, _, _, err := gossh.ParseAuthorizedKey(b)
	if cert, ok := pub.(*gossh.Certificate); err == nil && ok {
		if cs, err := gossh.NewCertSigner(cert, signer); err == nil {
			f.signer, f.public = cs, cert
		}
	}
	return f
}

// lockedKey asks for its passphrase when it has to sign.
type lockedKey struct {
	path   string
	pem    []byte
	public gossh.PublicKey
	ask    func(context.Context, Question) (string, error)

	turn   chan struct{} // held by who asks
	signer gossh.AlgorithmSigner
	err    error
}

var _ gossh.AlgorithmSigner = (*lockedKey)(nil)

func (l *lockedKey) PublicKey() gossh.PublicKey { return l.public }

func (l *lockedKey) Sign(rand io.Reader, data []byte) (*gossh.Signature, error) {
	return l.SignWithAlgorithm(rand, data, l.public.Type())
}

func (l *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*gossh.Signature, error) {
	s, err := l.unlock()
	if err != nil {
		return nil, err
	}
	return s.SignWithAlgorithm(rand, data, algorithm)
}

// unlock asks at most maxAsk times in a run; after that the key stays locked.
func (l *lockedKey) unlock() (gossh.AlgorithmSigner, error) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	for try := 0; l.signer == nil && l.err == nil; try++ {
		if try == maxAsk {
			l.err = fmt.Errorf("wrong passphrase for %s", l.path)
			break
		}
		pass, err := l.ask(context.Background(), Question{Prompt: "passphrase of " + l.path, Again: try > 0})
		if err != nil {
			l.err = err
			break
		}
		s, err := gossh.ParsePrivateKeyWithPassphrase(l.pem, []byte(pass))
		if err != nil {
			continue
		}
		if as, ok := s.(gossh.AlgorithmSigner); ok {
			l.signer = as
		} else {
			l.err = fmt.Errorf("%s: key type %s cannot be used", l.path, s.PublicKey().Type())
		}
	}
	return l.signer, l.err
}

// watched is a signer that stops the clock of a handshake while it signs: it may ask a person, who may have to find a
// passphrase or a token first.
type watched struct {
	gossh.AlgorithmSigner
	clock *deadline
}

func (w *watched) Sign(rand io.Reader, data []byte) (*gossh.Signature, error) {
	w.clock.pause()
	defer w.clock.resume()
	return w.AlgorithmSigner.Sign(rand, data)
}

func (w *watched) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*gossh.Signature, error) {
	w.clock.pause()
	defer w.clock.resume()
	return w.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}

// methods are the ways to log in.
func methods(s *settings, offers []offer, clock *deadline) []gossh.AuthMethod {
	signers := make([]gossh.Signer, len(offers))
	for i, o := range offers {
		signers[i] = o.signer
		if as, ok := o.signer.(gossh.AlgorithmSigner); ok {
			signers[i] = &watched{as, clock}
		}
	}
	out := []gossh.AuthMethod{gossh.PublicKeys(signers...)}
	if p := s.target.Password; p != "" {
		out = append(out, gossh.Password(p), gossh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range answers {
				answers[i] = p
			}
			return answers, nil
		}))
	}
	return out
}
