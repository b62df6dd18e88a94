package checkpoint

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"

	"github.com/kflow/kflow/engine/event"
)

// A line ends in crcField, eight hex digits and crcEnd.
const (
	crcField = `,"crc":"`
	crcEnd   = `"}`
	crcLen   = len(crcField) + 8 + len(crcEnd)
)

// Durable tells whether an event must have reached the disk before anything that depends on it starts.
func Durable(t event.Type) bool {
	switch t {
	case event.Log, event.Output, event.Change, event.Waiting, event.Note, event.Progress:
		return false
	}
	return true
}

// stored tells whether an event is written to the log at all.
func stored(t event.Type) bool { return t != event.Progress && t != event.Waiting }

// encode appends the line of e, with its newline, to buf. On an error buf is as before.
func encode(buf *bytes.Buffer, e event.Event) error {
	start := buf.Len()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		buf.Truncate(start)
		return fmt.Errorf("checkpoint: event %d (%s): %w", e.Seq, e.Type, err)
	}
	buf.Truncate(buf.Len() - len("}\n"))
	sum := crc32.ChecksumIEEE(buf.Bytes()[start:])
	fmt.Fprintf(buf, "%s%08x%s\n", crcField, sum, crcEnd)
	return nil
}

// decode reads a line, given without its newline.
func decode(line []byte) (event.Event, error) {
	var e event.Event
	if len(line) < crcLen {
		return e, errors.New("the line is too short")
	}
	body, tail := line[:len(line)-crcLen], line[len(line)-crcLen:]
	if !bytes.HasPrefix(tail, []byte(crcField)) || !bytes.HasSuffix(tail, []byte(crcEnd)) {
		return e, errors.New("the line has no checksum")
	}
	if want := fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)); want != string(tail[len(crcField):][:8]) {
		return e, errors.New("the checksum does not match")
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return event.Event{}, fmt.Errorf("the line is no event: %w", err)
	}
	return e, nil
}

// Record is a whole line of a log.
type Record struct {
	Event event.Event
	Line  int   // counts from 1
	End   int64 // offset of the byte behind its newline
}

// TornError says that a log ends in Bytes bytes that are no whole line: the process or the machine died while writing.
type TornError struct {
	Line  int // the first line that is not whole
	Bytes int64
}

func (e *TornError) Error() string {
	return fmt.Sprintf("the log ends in a torn line (line %d, %d bytes): the run was stopped while it was written", e.Line, e.Bytes)
}

// DamageError says that a line is damaged although whole lines follow it.
type DamageError struct {
	Path  string // "" = unknown
	Line  int
	Cause error
}

func (e *DamageError) Error() string {
	path := e.Path
	if path == "" {
		path = "events.jsonl"
	}
	return fmt.Sprintf("%s line %d is damaged: %v; whole lines follow, so it was changed after it had been written. "+
		"To go on from what is before it: head -n %d %s >ok && mv ok %s; what finished later will run again",
		path, e.Line, e.Cause, e.Line-1, path, path)
}

func (e *DamageError) Unwrap() error { return e.Cause }

// Records yields the whole lines of a log in order. After the last one it yields, where there is one, the error that
// ended it, with a zero Record: *TornError, *DamageError, or that of r.
func Records(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		in := bufio.NewReaderSize(r, 1<<16)
		rec := Record{}
		for {
			line, err := in.ReadBytes('\n')
			if err != nil && err != io.EOF {
				yield(Record{}, err)
				return
			}
			if len(line) == 0 {
				return
			}
			rec.Line++
			e, bad := decodeLine(line, err)
			if bad != nil {
				yield(Record{}, tornOrDamaged(in, rec.Line, line, bad))
				return
			}
			rec.Event, rec.End = e, rec.End+int64(len(line))
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// decodeLine decodes a line as ReadBytes returned it: without its newline it is not whole.
func decodeLine(line []byte, err error) (event.Event, error) {
	if errors.Is(err, io.EOF) {
		return event.Event{}, errors.New("the line has no end")
	}
	return decode(line[:len(line)-1])
}

// tornOrDamaged reads the rest of a log behind a bad line: a whole line there makes it damage. But for a hole (zeros), which a
// file system leaves where the machine died before an earlier part of the file had reached the disk: a sync waits for all
// parts, so that nothing behind the hole was promised to anybody. Unless a session has begun there: it would have cut it off.
func tornOrDamaged(in *bufio.Reader, line int, first []byte, bad error) error {
	hole := bytes.IndexByte(first, 0) >= 0
	for size := int64(len(first)); ; {
		next, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		size += int64(len(next))
		if err == io.EOF {
			return &TornError{Line: line, Bytes: size}
		}
		e, bad2 := decode(next[:len(next)-1])
		if bad2 == nil && (!hole || e.Type == event.RunStarted) {
			return &DamageError{Line: line, Cause: bad}
		}
	}
}
