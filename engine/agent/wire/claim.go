package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Claim names the run that an agent works for, so that no other run works on its host meanwhile. It goes with the command
// line of the agent: a host that another run works on says so before anything else, and it costs no round trip.
type Claim struct {
	Key      string `json:"key"` // of the run, the same when it is resumed, and of no other run anywhere
	Run      string `json:"run"` // its id, for people
	Playbook string `json:"playbook,omitempty"`
	User     string `json:"user,omitempty"`
	Host     string `json:"host,omitempty"` // that kflow runs on
	PID      int    `json:"pid,omitempty"`

	Since time.Time `json:"since,omitzero"` // when this session of the run began, by the clock of kflow
}

// Held is the refusal of a claim: another run works on the host. As an error it says who.
type Held struct {
	Claim
	Silent time.Duration `json:"silent,omitempty"` // since its kflow was last heard
	Ending bool          `json:"ending,omitempty"` // its connection has ended, and what it runs is being ended
}

func (h *Held) Error() string {
	if h.Run == "" {
		return "a run that has not said its name yet"
	}
	of := ""
	if h.Playbook != "" {
		of = " of " + h.Playbook
	}
	return fmt.Sprintf("run %s%s (%s, process %d on %s) since %s", h.Run, of, h.User, h.PID, h.Host, h.Since.Local().Format(time.DateTime))
}

// maxName is how long a name in a claim may be: all of them fit into the line of a marker.
const maxName = 64

// Clean is the claim as it may be shown and sent: its texts come from other machines.
func (c Claim) Clean() Claim {
	for _, s := range []*string{&c.Key, &c.Run, &c.Playbook, &c.User, &c.Host} {
		*s = cleanName(*s)
	}
	return c
}

func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > maxName {
		r := []rune(s)
		s = string(r[:len(r)-1])
	}
	return s
}

// Word is v, a Claim or a Held, as one word that means itself in every shell and in a Marker.
func Word(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // texts and numbers are always JSON
	}
	return base64.RawURLEncoding.EncodeToString(bytes.TrimSpace(b.Bytes()))
}

// ParseWord reads what Word has made.
func ParseWord(word string, v any) error {
	b, err := base64.RawURLEncoding.DecodeString(word)
	if err != nil {
		return errors.New("a word that is no base64")
	}
	return json.Unmarshal(b, v)
}
