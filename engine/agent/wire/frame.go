// Package wire is the protocol between kflow and its agents: frames over any two byte streams, and calls over frames.
//
// # Frames
//
// A frame is one line of text, then as many bytes as the line says:
//
//	type id jsonlen datalen LF json data
//
// type is [a-z-]{1,24}; the numbers are decimal without leading zeros, so that a frame can be written in one way only.
// json is a JSON object (or nothing); data are raw bytes, at most MaxData. Reading anything else ends the connection:
// after a frame that is wrong nothing can be trusted, so the error of a Reader is sticky.
//
// # Calls
//
// Both sides are equal (Peer): each may call the other. A call is a frame whose id the caller has chosen; the answer has
// the same id: any number of `progress` frames, then one `done` or `error`. Since each side counts for itself, the type
// tells a call from an answer: hello, progress, done, error and cancel are known to all, any other type is a call, or,
// with id 0, a message that wants no answer. An unknown call is answered with an error; an unknown message is ignored,
// and each side sends one (grease) after its hello, so that nobody forgets to.
//
// # Order of a connection
//
// The agent writes a Marker line (what came before it is noise of login shells), then hello with its build and the
// host's facts. kflow answers with its own hello and, at once, its first call: a request costs one round trip. The words of
// a marker:
//
//	ready        hello follows
//	busy         it waits for an agent before it to end, and lives
//	locked WORD  another run works on the host, the word is a Held; the agent ends. Only an agent that was started with a
//	             Claim says so: one that is to look and no more gets none, and hinders nobody
//
//	run       kflow → agent   carry out a job.Request; progress; done has the job.Outcome
//	cancel    either          end the call of that id
//	ping      either          answered with done
//	alive     kflow → agent   a message every AliveEvery: an agent that hears nothing for AliveLimit ends, since kflow may have
//	                          been cut off and be back with another connection
//	blob      agent → kflow   a piece of content, by hash: the receiver asks for pieces, several at a time, and so decides
//	                          how much is under way
//	stat, download            agent → kflow   of the controller; what was downloaded is then read as blob
//	save      agent → kflow   a file for the controller, which reads it from the agent by `read`, piece by piece
//
// Each run has a Key, unique and chosen by kflow. Nothing depends on it yet: it is there for a connection that was lost
// to ask a next one for the outcome.
package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// AliveEvery is the time between two messages of kflow; AliveLimit the silence after which an agent gives up.
const (
	AliveEvery = 15 * time.Second
	AliveLimit = 90 * time.Second
)

// Limits of a frame, in bytes.
const (
	MaxJSON = 16 << 20
	MaxData = 1 << 20
	maxLine = 64
	maxType = 24
)

// ErrTooLarge is the error of a frame that would break a limit; it was not sent, and the connection goes on.
var ErrTooLarge = errors.New("message is too large for the connection to the agent")

// Frame is one message. Its JSON and Data belong to the receiver.
type Frame struct {
	Type string
	ID   uint64
	JSON []byte
	Data []byte
}

// Append writes f behind dst. The error is ErrTooLarge, or a type that is none.
func Append(dst []byte, f Frame) ([]byte, error) {
	switch {
	case !validType(f.Type):
		return dst, fmt.Errorf("%q is no type of a frame", f.Type)
	case len(f.JSON) > MaxJSON:
		return dst, fmt.Errorf("%s: %d MiB of JSON, the limit is %d MiB: %w", f.Type, len(f.JSON)>>20, MaxJSON>>20, ErrTooLarge)
	case len(f.Data) > MaxData:
		return dst, fmt.Errorf("%s: %d bytes of data, the limit is %d: %w", f.Type, len(f.Data), MaxData, ErrTooLarge)
	}
	dst = fmt.Appendf(dst, "%s %d %d %d\n", f.Type, f.ID, len(f.JSON), len(f.Data))
	dst = append(dst, f.JSON...)
	return append(dst, f.Data...), nil
}

func validType(s string) bool {
	if len(s) == 0 || len(s) > maxType {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}

// Reader reads frames. After an error it returns that error for ever.
type Reader struct {
	br  *bufio.Reader
	err error
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{br: bufio.NewReaderSize(r, 64<<10)} }

// Next returns the next frame. At the end, between two frames, the error is io.EOF; within one io.ErrUnexpectedEOF.
func (r *Reader) Next() (Frame, error) {
	if r.err != nil {
		return Frame{}, r.err
	}
	f, err := r.next()
	if err != nil {
		r.err = err
		return Frame{}, err
	}
	return f, nil
}

func (r *Reader) next() (Frame, error) {
	line, err := r.line()
	if err != nil {
		return Frame{}, err
	}
	f, jsonLen, dataLen, err := parseLine(line)
	if err != nil {
		return Frame{}, fmt.Errorf("the other side does not speak the protocol: line %q: %w", line, err)
	}
	// Both in one piece; grown as it arrives, so that a length that is a lie costs no memory.
	var body bytes.Buffer
	n, err := io.CopyN(&body, r.br, int64(jsonLen+dataLen))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Frame{}, fmt.Errorf("frame %s: %d of %d bytes: %w", f.Type, n, jsonLen+dataLen, err)
	}
	b := body.Bytes()
	f.JSON, f.Data = b[:jsonLen:jsonLen], b[jsonLen:]
	return f, nil
}

func (r *Reader) line() ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine {
		return nil, fmt.Errorf("the other side does not speak the protocol: line %q", line[:maxLine])
	}
	if err == io.EOF && len(line) > 0 {
		return nil, fmt.Errorf("within the line of a frame: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(line[:len(line)-1]), nil
}

func parseLine(line []byte) (f Frame, jsonLen, dataLen int, err error) {
	parts := bytes.Split(line, []byte(" "))
	if len(parts) != 4 || !validType(string(parts[0])) {
		return f, 0, 0, errors.New("want: type id jsonlen datalen")
	}
	f.Type = string(parts[0])
	var n [3]uint64
	for i := range n {
		if n[i], err = number(parts[i+1]); err != nil {
			return f, 0, 0, err
		}
	}
	if n[1] > MaxJSON || n[2] > MaxData {
		return f, 0, 0, ErrTooLarge
	}
	f.ID = n[0]
	return f, int(n[1]), int(n[2]), nil
}

// number reads a decimal number in its one form.
func number(b []byte) (uint64, error) {
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != string(b) {
		return 0, fmt.Errorf("%q is no number", b)
	}
	return n, nil
}
