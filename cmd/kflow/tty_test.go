package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// types runs kflow at a terminal of its own, as a person sits at one:
//
//	types FILE CODE kflow ...
//
// A line of FILE is `QUESTION => ANSWER` for an answer that must not be seen, `QUESTION -> ANSWER` for one that is. An answer
// ^C is the key. Each is typed when its question has come, and each must come. What the terminal showed is the file `tty`;
// standard output and standard error are files of these names.
func types(ts *testscript.TestScript, _ bool, args []string) {
	ptm, tty := openTerminal(ts)
	name := lookPath(ts, args[2])
	cmd := exec.Command(name, args[3:]...)
	cmd.Args[0], cmd.Dir = args[2], ts.Getenv("WORK")
	for _, key := range []string{"HOME", "KFLOW_STATE", "KFLOW_LOCKS", "PATH", "WORK", "KFLOW_INPUT_WORK", "KFLOW_AGE_IDENTITY", "KFLOW_AGE_IDENTITY_FILE"} {
		cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, create(ts, "stdout"), create(ts, "stderr")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	ts.Check(cmd.Start())
	_ = tty.Close() // it is the child's
	s := &screen{}
	go s.watch(ptm)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if err := s.answer(ptm, strings.TrimSuffix(line, "\n"), ended); err != nil {
			_ = cmd.Process.Kill()
			ts.Fatalf("%v; the terminal shows:\n%s\n%s%s", err, s.text(), ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
	}
	err := <-ended
	ts.Check(os.WriteFile(ts.MkAbs("tty"), []byte(s.text()), 0o600))
	ts.Logf("[terminal]\n%s\n%s%s", s.text(), ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	var code int
	_, scanErr := fmt.Sscan(args[1], &code)
	ts.Check(scanErr)
	wantCode(ts, code, err)
}

func openTerminal(ts *testscript.TestScript) (ptm, tty *os.File) {
	ptm, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	ts.Check(err)
	ts.Defer(func() { _ = ptm.Close() }) // the script is over
	ts.Check(unix.IoctlSetPointerInt(int(ptm.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(ptm.Fd()), unix.TIOCGPTN)
	ts.Check(err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	ts.Check(err)
	return ptm, tty
}

// screen is what a terminal shows.
type screen struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	seen int // up to here its questions were answered
}

func (s *screen) watch(ptm *os.File) {
	b := make([]byte, 4096)
	for {
		n, err := ptm.Read(b)
		s.mu.Lock()
		s.buf.Write(b[:n])
		s.mu.Unlock()
		if err != nil {
			return // the child has ended
		}
	}
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.buf.String(), "\r\n", "\n")
}

func (s *screen) asks(question string) bool {
	text := s.text()
	i := strings.Index(text[s.seen:], question)
	if i >= 0 {
		s.seen += i + len(question)
	}
	return i >= 0
}

// answer waits for a question, and where the answer must not be seen for the echo to be off.
func (s *screen) answer(ptm *os.File, line string, ended <-chan error) error {
	question, answer, hidden := strings.Cut(line, " => ")
	if !hidden {
		question, answer, _ = strings.Cut(line, " -> ")
	}
	tick, late := time.NewTicker(2*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for asked := false; !asked || hidden && echoes(ptm); {
		asked = asked || s.asks(question)
		select {
		case <-tick.C:
		case err := <-ended:
			return fmt.Errorf("it ended (%v) and never asked %q", err, question)
		case <-late:
			return fmt.Errorf("it does not ask %q", question)
		}
	}
	if answer == "^C" {
		answer = "\x03"
	} else {
		answer += "\n"
	}
	_, err := ptm.WriteString(answer)
	return err
}

func echoes(ptm *os.File) bool {
	t, err := unix.IoctlGetTermios(int(ptm.Fd()), unix.TCGETS)
	return err != nil || t.Lflag&unix.ECHO != 0
}

// seal encrypts a file with age, for the identity in a file or with a passphrase:
//
//	seal FILE IDENTITY|pass:PHRASE OUT
func seal(ts *testscript.TestScript, _ bool, args []string) {
	var to age.Recipient
	if phrase, ok := strings.CutPrefix(args[1], "pass:"); ok {
		r, err := age.NewScryptRecipient(phrase)
		ts.Check(err)
		r.SetWorkFactor(10)
		to = r
	} else {
		id, err := age.ParseX25519Identity(strings.TrimSpace(ts.ReadFile(args[1])))
		ts.Check(err)
		to = id.Recipient()
	}
	out := create(ts, args[2])
	armoured := armor.NewWriter(out)
	w, err := age.Encrypt(armoured, to)
	ts.Check(err)
	_, err = w.Write([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(w.Close())
	ts.Check(armoured.Close())
}
