package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestFramesSurviveTheWay(t *testing.T) {
	frames := []Frame{
		{Type: "hello", JSON: []byte(`{"protocol":1}`)},
		{Type: "run", ID: 7, JSON: []byte(`{}`), Data: []byte("a\nb\x00")},
		{Type: "ping", ID: 1<<64 - 1},
		{Type: "blob", ID: 3, Data: bytes.Repeat([]byte{0xff}, MaxData)},
	}
	var wire []byte
	for _, f := range frames {
		var err error
		if wire, err = Append(wire, f); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(bytes.NewReader(wire))
	for _, want := range frames {
		got, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got.Type != want.Type || got.ID != want.ID || !bytes.Equal(got.JSON, want.JSON) || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("got %s %d, want %s %d", got.Type, got.ID, want.Type, want.ID)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: %v, want EOF", err)
	}
}

// After a frame that is wrong nothing can be trusted: the error stays, though good frames follow.
func TestReaderErrorsAreSticky(t *testing.T) {
	for _, bad := range []string{
		"run 1 2 0\n", "run 01 0 0\n", "run +1 0 0\n", "run 1 0 0 \n", "Run 1 0 0\n", " 1 0 0\n", "\n", "run 1 0\n",
		"run 1 16777217 0\n", "run 1 0 1048577\n", "run 18446744073709551616 0 0\n", "run 1 0 0\r\n",
		strings.Repeat("x", 25) + " 1 0 0\n", strings.Repeat("a", 100000), "Welcome to Ubuntu\n",
	} {
		r := NewReader(strings.NewReader(bad + "ping 1 0 0\n"))
		_, first := r.Next()
		if first == nil && bad != "run 1 2 0\n" {
			t.Errorf("%.40q: no error", bad)
		}
		if first != nil {
			if _, again := r.Next(); again != first {
				t.Errorf("%.40q: error %v became %v", bad, first, again)
			}
		}
	}
}

func TestReaderTellsAnEndFromABreak(t *testing.T) {
	for _, cut := range []string{"run", "run 1 2 2\n", "run 1 2 2\n{}x"} {
		_, err := NewReader(strings.NewReader(cut)).Next()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v, want unexpected EOF", cut, err)
		}
	}
}

func TestAppendRefusesWhatAReaderWould(t *testing.T) {
	for _, f := range []Frame{{Type: ""}, {Type: "Run"}, {Type: "a b"}, {Type: strings.Repeat("a", 25)}} {
		if got, err := Append([]byte("x"), f); err == nil || string(got) != "x" {
			t.Errorf("%q: %q, %v", f.Type, got, err)
		}
	}
	for _, f := range []Frame{{Type: "run", Data: make([]byte, MaxData+1)}, {Type: "run", JSON: make([]byte, MaxJSON+1)}} {
		if _, err := Append(nil, f); !errors.Is(err, ErrTooLarge) {
			t.Errorf("error %v, want too large", err)
		}
	}
}

// FuzzMalleability: what is read can be written in one way only, so writing it gives the same bytes; and nothing is
// returned together with an error.
func FuzzMalleability(f *testing.F) {
	f.Add([]byte("run 7 2 3\n{}abcping 1 0 0\n"))
	f.Add([]byte("hello 0 0 0\n"))
	f.Add([]byte("run 007 2 3\n{}abc"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		var out []byte
		for {
			fr, err := r.Next()
			if err != nil {
				if fr.Type != "" || fr.JSON != nil || fr.Data != nil {
					t.Fatal("a frame together with an error")
				}
				break
			}
			if out, err = Append(out, fr); err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
		}
		if !bytes.HasPrefix(in, out) {
			t.Fatalf("read %q, written %q", in, out)
		}
	})
}

func TestMarkerIsFoundInNoise(t *testing.T) {
	const nonce = "N1"
	for _, noise := range []string{"", "motd\n", "no line end", "@kflow:N2 ready\n", "@kflow:N1", "@kflow:@kflow:N"} {
		r := strings.NewReader(noise + Marker(nonce, "need", "amd64") + "rest")
		words, said, err := ReadMarker(r, nonce)
		if err != nil || strings.Join(words, " ") != "need amd64" || said != noise {
			t.Errorf("%q: %q, noise %q, %v", noise, words, said, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "rest" {
			t.Errorf("%q: read beyond the marker, left %q", noise, rest)
		}
	}
}

func TestMarkerWaitsNotForEver(t *testing.T) {
	_, said, err := ReadMarker(strings.NewReader("account not available\n"), "N")
	if err != io.EOF || said != "account not available\n" {
		t.Errorf("%q, %v", said, err)
	}
	_, _, err = ReadMarker(bytes.NewReader(bytes.Repeat([]byte("x"), maxNoise+1)), "N")
	if err == nil || err == io.EOF {
		t.Errorf("endless noise: %v", err)
	}
}
