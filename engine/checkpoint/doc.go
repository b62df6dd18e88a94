// Package checkpoint keeps runs on disk: the log that is also the checkpoint, what resume makes of it, the locks that
// keep two runs apart, and how long tasks took in earlier runs.
//
// # Layout
//
//	~/.local/state/kflow/                 Store; $XDG_STATE_HOME is honoured
//	    runs/20261121-131501-ab3f/        one run; the id is its start in UTC (or later: ids sort
//	                                      as runs began, whatever the clock says) and four random digits
//	        events.jsonl                  the log
//	        lock                          held while a process works on the run
//	    locks/                            one file per inventory and per host in use
//	    agents/                           what agents on this machine note, see package agent/server
//	    history/                          seconds per task, one file per playbook
//
// All of it belongs to one user (0700 and 0600) and can be read with text tools at any time.
//
// # The log
//
// A line is an event as JSON with a last member "crc": eight hex digits, the CRC-32 (IEEE) of the bytes of the line
// before `,"crc"`. Lines are only ever appended. Events that matter on resume are durable (see Durable): Commit returns
// after they have reached the disk, and the scheduler starts nothing that depends on them before that. Lines of output
// are written in their order with them but ask for no sync of their own; progress is not stored. Callers that commit at
// the same time share one sync (group commit), which is what makes a sync per result affordable.
//
// # Damage
//
// A process can be killed, and a machine can lose power, at any byte. What can be torn then is the end: every line
// behind the last whole one is cut off on Open, and State.Torn says how many bytes that were. A line that is damaged
// although whole lines follow was not torn but changed later: that is a DamageError with the number of the line, and
// nothing is cut off without being told to.
//
// # State
//
// Fold reads a log into a State: for every instance its last and first result, its fingerprint and outputs, on which
// machine it ran, how often it finished. A start without an end is event.Unknown: the instance is probed again, and
// never assumed to have worked. Fold never fails on what a kill leaves behind.
//
// # Locks
//
// A lock is a flock: the kernel releases it with the process, so a lock can't be left behind, whatever the file says.
// The file names the owner for people. Taking a lock whose file still names an owner means that this owner died;
// Locks.Stale tells of it. All locks of a run are taken in one order and without waiting: no deadlock, and of two runs
// that start together one always wins. The locks exclude the runs of one Store, that is of one user on one controller.
package checkpoint
