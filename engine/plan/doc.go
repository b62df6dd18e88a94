// Package plan joins a playbook and an inventory: which task runs on which hosts, what waits for what, and in which
// environment its expressions are evaluated. It reaches no host; all of it is known before the first connection.
//
// # Hosts of a task
//
// `on` is evaluated over the inventory's groups; without it a task has the hosts of the block or part around it, at the
// top all hosts. Inside a part, `all` is the hosts of the part. --limit filters afterwards, so an index means the same
// with and without it, and never touches on-demand producers.
//
// # Needs
//
// A need between two leaves is resolved by itself: host by host if every host of the dependent runs the needed task
// (before --limit), else on all hosts. A block or part that decides or holds something (when, lock, max_parallel,
// max_failures, allow_failure, retry, run, or a `run: always` inside) is a group for the scheduler and carries its needs
// itself; any other is dissolved: its needs are those of the tasks inside. Needs that follow from others (the same hosts,
// step behind step) are left out: they cost per instance and change nothing.
//
// # Environments
//
// An expression means what it means where it is written (playbook.Site). Env builds, for one host, only what the
// expression mentions: a run evaluates many of them. What it comes to is kept (Memo), for the hosts that are alike in all that it
// reads of them; what reads outputs of tasks is computed each time.
//
// # Before a host is reached
//
// Sketches are the tasks as far as they are known without facts and outputs: what the race check (package race) and the
// version couplings (package couple) look at.
package plan
