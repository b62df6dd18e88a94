// Package sched carries a run out: it starts every instance when its needs are met, as many at once as is allowed, and
// keeps account of what became of it. It knows no kind, no SSH and no YAML: an instance is a pair of numbers, task and
// host, and an Executor does whatever is to be done.
//
//	spec := sched.Spec{
//		Hosts: 3,
//		Tasks: []sched.Task{
//			{ID: "packages", Hosts: []int{0, 1, 2}, Group: sched.None},
//			{ID: "init", Hosts: []int{0}, Needs: []sched.Need{{Task: 0}}, Group: sched.None},
//			{ID: "join", Hosts: []int{1, 2}, Needs: []sched.Need{{Task: 0}, {Task: 1, Form: sched.AllHosts}},
//				Lock: "join", Group: sched.None},
//		},
//	}
//	s, err := sched.New(spec)
//	...
//	summary, err := s.Run(ctx, executor, observer)
//
// # One goroutine, dense arrays
//
// The goroutine that calls Run owns all state and takes no lock. Each turn of its loop draws the consequences of what
// has ended, starts what can be started, hands results to the disk, and waits for something to happen: a worker
// returns, a commit is done, the time of a retry has come, somebody stops the run. Workers get an instance and send
// back a result.
//
// An instance is an index into a few arrays, about 15 bytes in all. No edge between instances exists: an edge joins two
// tasks, and what it means for a host is worked out when an instance ends. Tasks are laid out in the arrays longest
// remaining path first (by their Weight), so that an index is also a priority.
//
// # Needs
//
// An instance looks at its own needs and no further. A need is met by ok, changed, reused and skipped, and by a failure
// that is tolerated: by AllowFailure, or because its task had no more than MaxFailures failures when it ended. When all
// needs are final, Run decides: OnSuccess runs if all are met, and is blocked otherwise; OnFailure runs if any failed
// (tolerated or not) or is blocked, and is skipped otherwise; Always runs. Then the condition is asked, once; a retry
// does not ask again.
//
// A failure blocks what depends on it and nothing else. What is blocked carries its root causes, and the Summary counts
// for each root what it blocked. There are two more reasons to be blocked. A task with FailFast (or MaxParallel, or
// MaxFailures) that has failed more often than MaxFailures is closed: what has not started of it is blocked (not while
// a group around it has an attempt left that may heal the failure). And a Result may say HostLost: what has not started
// on the host is blocked, except Remote tasks; where such a task tolerates failures, this counts as one of them.
//
// An instance that ends as Unknown (nobody knows whether it was done), and not within what is tolerated, stops its host:
// what has started there goes on, everything else is blocked, Remote tasks and finally tasks too. Needs and conditions
// are asked first, so that what is reused or skipped needs no host, and the results do not depend on the moment.
// Scheduler.Unknown says it of an instance that an earlier session left open.
//
// # Limits
//
// An attempt counts against Limits.Total, against Limits.PerHost, and holds its Class on its host. It does not while it
// waits for its next attempt or for a demand. The slot of MaxParallel and the Lock are held from before the first
// attempt until the result is durable. A free slot or lock goes to the first of those that wait for it: by remaining
// path, then in the order of the host list of the task. MaxParallel does not hold a host up because an earlier one is
// not ready yet.
//
// # Groups
//
// A group is entered on a host when its needs are met and its condition is true; it takes its slot and its lock; then
// what is inside starts. It is left when all that is inside is final. If its condition is false all inside is skipped,
// if its needs are not met all inside is blocked. Nothing can need a group: need the tasks inside.
//
// A group that failed on a host and has attempts left starts again when all inside is final, finally tasks included.
// Until it is left, those outside learn nothing of what is in a group with Retry, AllowFailure or MaxFailures: so they
// never act on a failure that is healed or tolerated. Tolerance of a group counts for those outside it alone.
//
// A task in a group with Run Always is a finally: it runs on a host when all its needs are final, if any of them was
// started there, in this session or an earlier one. Give it all the steps before it as needs, not the last one alone: a
// later step that is blocked was not started. A group can be a finally, too. OnDemand tasks in a group follow its
// condition, but the group does not wait for them.
//
// # Demands
//
// An OnDemand instance runs when a running one demands it. All who demand it at the same time share one execution.
// Otherwise it does not run, nobody waits for it, and a need on it is met. If it has failed, a demand that is not fresh
// gets that failure. A demand for something that can never start (it needs the one who demands it) fails, the run goes
// on.
//
// # Durable results
//
// If the Observer is a Committer, a result has no consequences before Commit has returned: nothing that depends on it
// starts, and its lock is kept. One Commit serves all that has ended since the last one, while the loop goes on with
// what does not depend on these. Nothing waits for blocked and cancelled to be durable, as they follow from other
// results. A task with DurableStart waits also between Started and Do.
//
// # Stopping
//
// Stop: what runs finishes (and may still demand what can start); what waits for a retry ends with its last failure;
// what has not started is cancelled; finally tasks in groups that are entered still run, with their retries. The end of
// the context: the contexts of what runs end, with that cause, and nothing starts at all. A second interrupt is
// therefore the end of the context. Run returns when everything has returned.
//
// If something is left that nothing can start, Run returns a *StuckError and does not wait for ever.
//
// # Time, and silence
//
// Time is that of package time, so that a test in a testing/synctest bubble (New and Run both in it) runs in virtual
// time. What happens is decided by the order in which workers return; two that return at the same moment come in any
// order. Waiting tells, while the run goes on, what waits for what.
package sched
