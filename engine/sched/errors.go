package sched

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kflow/kflow/engine/event"
)

// ErrInterrupted is the cause to give to Stop when a person interrupts a run.
var ErrInterrupted = errors.New("interrupted")

// TimeoutError is the cause with which the context of an attempt ends when its time is over.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("timed out after %s", e.After) }

// PanicError is the failure of an instance whose executor panicked.
type PanicError struct {
	Value any
	Stack string
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// CommitError says that results could not be made durable. The run was stopped because of it.
type CommitError struct{ Err error }

func (e *CommitError) Error() string { return "results can't be stored: " + e.Err.Error() }

// Unwrap returns what Commit said.
func (e *CommitError) Unwrap() error { return e.Err }

// CycleError says that tasks wait for each other. Path begins and ends with the same one.
type CycleError struct{ Path []string }

func (e *CycleError) Error() string { return "cycle: " + strings.Join(e.Path, " -> ") }

// StuckError says that instances are left which nothing can start: the plan or the scheduler is wrong.
type StuckError struct {
	Instances []string // the first of them, each with what it waits for
	Total     int
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("%d instances can never start: %s", e.Total, strings.Join(e.Instances, ", "))
}

// DemandError says why a demand was not satisfied.
type DemandError struct {
	Name   string // task@host index
	Status event.Status
	Roots  []Instance // if it is blocked
	Err    error      // of the instance, or what is wrong with the demand
}

func (e *DemandError) Error() string {
	s := "what it demands, " + e.Name + ", "
	if e.Status != event.Pending {
		s += "is " + string(e.Status)
	} else {
		s += "can't be had"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the error of the instance.
func (e *DemandError) Unwrap() error { return e.Err }
