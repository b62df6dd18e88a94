package tasktest

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/kflow/kflow/engine/task"
)

// shared is a kind whose parameters are read once, and given to each task with the lists and maps of that one time: as on
// simulated hosts, where thousands have the same.
type shared struct {
	*task.Registry
	t    testing.TB
	kept reflect.Value
	text string // of kept, as it was
}

// Decode implements converge.Kinds.
func (s *shared) Decode(params []byte, into any) error {
	if err := s.Registry.Decode(params, into); err != nil {
		return err
	}
	given := reflect.ValueOf(into).Elem()
	s.kept = reflect.New(given.Type()).Elem()
	s.kept.Set(given)
	s.text = s.show()
	return nil
}

func (s *shared) show() string {
	text, err := json.Marshal(s.kept.Addr().Interface())
	if err != nil {
		s.t.Error(err)
	}
	return string(text)
}

// unchanged fails the test where the task has written into what others have too.
func (s *shared) unchanged() {
	s.t.Helper()
	if !s.kept.IsValid() {
		return
	}
	if now := s.show(); now != s.text {
		s.t.Errorf("a task changes its parameters, which others may share: they were\n%s\nand are\n%s", s.text, now)
	}
}
