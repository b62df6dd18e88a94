package wire

import (
	"context"
	"errors"
	"io/fs"

	"github.com/kflow/kflow/engine/job"
	"github.com/kflow/kflow/engine/task"
)

// Protocol is the version of the protocol. Both sides are of one build as a rule (the agent is found by its hash), so
// there is nothing to negotiate: another number is refused.
const Protocol = 1

// The types of frames.
const (
	TypeHello    = "hello"
	TypeProgress = "progress"
	TypeDone     = "done"
	TypeError    = "error"
	TypeCancel   = "cancel"
	TypePing     = "ping"
	TypeAlive    = "alive"
	TypeRun      = "run"
	TypeBlob     = "blob"
	TypeStat     = "stat"
	TypeDownload = "download"
	TypeSave     = "save"
	TypeRead     = "read"
)

// Hello is the first frame of each side.
type Hello struct {
	Protocol int         `json:"protocol"`
	Version  string      `json:"version"`          // of the build
	SHA256   string      `json:"sha256,omitempty"` // of the agent's program
	PID      int         `json:"pid,omitempty"`
	Facts    *task.Facts `json:"facts,omitempty"`  // of the agent's host
	Unheld   string      `json:"unheld,omitempty"` // why the host can't be kept from other runs, although that was claimed
}

// Run asks the agent to carry out a request.
type Run struct {
	Key     string       `json:"key"` // unique, of the caller's choice
	Request *job.Request `json:"request"`
}

// Cancel ends the call of the frame's id. Cause is for people.
type Cancel struct {
	Cause    string `json:"cause"`
	Deadline bool   `json:"deadline,omitempty"` // it ran out of time
}

// Blob asks for a piece of content: at most Size bytes from Offset. The answer's data are these bytes, fewer at the end.
type Blob struct {
	SHA256 string `json:"sha256"`
	Offset int64  `json:"offset"`
	Size   int    `json:"size"`
}

// BlobInfo is the JSON of the answer to Blob.
type BlobInfo struct {
	Size int64 `json:"size"` // of the whole content
}

// Stat asks for the SHA-256 of a file of the controller.
type Stat struct {
	Path string `json:"path"`
}

// Download asks the controller to get a URL. Its answer, as that of Stat, is a Content.
type Download struct {
	URL    string `json:"url"`
	SHA256 string `json:"sha256,omitempty"`
}

// Content names content of the controller; SHA256 is "" where there is none.
type Content struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size,omitempty"`
}

// Save asks the controller to write a file whose content it gets by Read.
type Save struct {
	Path   string      `json:"path"`
	Mode   fs.FileMode `json:"mode"`
	Stream uint64      `json:"stream"`
}

// Read asks for the next bytes of a stream, at most Max. The answer's data are the bytes, its JSON is an End.
type Read struct {
	Stream uint64 `json:"stream"`
	Max    int    `json:"max"`
}

// End tells whether a stream has ended.
type End struct {
	EOF bool `json:"eof"`
}

// Error is the JSON of an error frame. It is the error that a Call returns for it.
type Error struct {
	Message   string `json:"message"`
	Code      string `json:"code,omitempty"` // one of the codes below
	Output    string `json:"output,omitempty"`
	Hint      string `json:"hint,omitempty"`
	Transient bool   `json:"transient,omitempty"`
}

// The codes of an Error that programs look at.
const (
	CodeNotExist = "not-exist"
	CodeUnknown  = "unknown-call"
	CodeBusy     = "busy"
)

func (e *Error) Error() string { return e.Message }

// Is lets errors.Is find what a code stands for.
func (e *Error) Is(target error) bool { return e.Code == CodeNotExist && target == fs.ErrNotExist }

// As gives the error as a *task.Failure, where it carries more than a message.
func (e *Error) As(target any) bool {
	f, ok := target.(**task.Failure)
	if !ok {
		return false
	}
	*f = task.Failf("%s", e.Message)
	(*f).Output, (*f).Hint, (*f).Transient = e.Output, e.Hint, e.Transient
	return true
}

// toError makes any error fit for a frame.
func toError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	e = &Error{Message: err.Error()}
	if errors.Is(err, fs.ErrNotExist) {
		e.Code = CodeNotExist
	}
	var f *task.Failure
	if errors.As(err, &f) {
		e.Output, e.Hint, e.Transient = f.Output, f.Hint, f.Transient
	}
	return e
}

// CancelledError is the cause of the context of a call that the other side has cancelled.
type CancelledError struct{ Cancel }

func (e *CancelledError) Error() string { return e.Cause }

// Is makes it a context.Canceled, or a context.DeadlineExceeded where the other side ran out of time.
func (e *CancelledError) Is(target error) bool {
	if e.Deadline {
		return target == context.DeadlineExceeded
	}
	return target == context.Canceled
}
