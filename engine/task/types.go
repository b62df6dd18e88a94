package task

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
	"time"
)

// Duration is a parameter such as "1m30s".
type Duration time.Duration

// ShapeFormat names the format for package shape.
func (Duration) ShapeFormat() string { return "duration" }

// UnmarshalJSON reads the text form.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// MarshalJSON writes the text form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// D is the time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Strings is a list of text; a playbook may write a single value for a list of one.
type Strings []string

// ShapeFormat names the format for package shape.
func (Strings) ShapeFormat() string { return "strings" }

// Mode is an octal file mode such as "0644"; "" means not given.
type Mode string

// ShapeFormat names the format for package shape.
func (Mode) ShapeFormat() string { return "mode" }

// FileMode is the mode with setuid, setgid and sticky in their fs.FileMode places; 0 when not given.
func (m Mode) FileMode() (fs.FileMode, error) {
	if m == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(m), 8, 12)
	if err != nil {
		return 0, fmt.Errorf("mode %q is not an octal number: %w", string(m), err)
	}
	mode := fs.FileMode(n & 0o777)
	for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			mode |= flag
		}
	}
	return mode, nil
}
