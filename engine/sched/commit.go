package sched

// commits lets no result have consequences before it is durable, without a sync for each: while one batch is on its way
// to the disk the loop goes on, and everything that ends meanwhile is the next batch. What was only derived (blocked,
// skipped because of a group, cancelled) is not waited for: a resume derives it again.
type commits struct {
	committer  Committer // nil: results count at once
	commit     chan struct{}
	committed  chan error
	batch      []inst // waits for the next commit
	inflight   []inst // in the one under way
	committing bool
	dirty      bool // something was told to the observer after the last commit was begun
}

func newCommits(obs Observer) commits {
	c := commits{}
	c.committer, _ = obs.(Committer)
	return c
}

// flush begins a commit, if there is something to commit and none is under way.
func (r *run) flush() {
	if r.committing || len(r.batch) == 0 {
		return
	}
	if r.commit == nil {
		r.commit, r.committed = make(chan struct{}, 1), make(chan error, 1)
		go commitAll(r.committer, r.commit, r.committed)
	}
	r.inflight, r.batch = r.batch, r.inflight[:0]
	r.committing, r.dirty = true, false
	r.clock.Hold()
	r.commit <- struct{}{}
}

func commitAll(c Committer, ask <-chan struct{}, done chan<- error) {
	for range ask {
		done <- c.Commit()
	}
}

// commitDone draws the consequences of a batch.
func (r *run) commitDone(err error) {
	r.committing = false
	if err != nil {
		r.noMoreCommits(err)
	}
	for _, i := range r.inflight {
		r.durable(i)
	}
	if err != nil {
		for _, i := range r.batch {
			r.durable(i)
		}
		r.batch = nil
	}
}

// durable lets a result count, or an attempt begin.
func (r *run) durable(i inst) {
	switch {
	case r.state[i] == sEnding:
		r.settling = append(r.settling, i)
	case r.level == cancelled: // the attempt was announced, but does not begin
		if r.trails[i] == nil {
			r.flags[i] &^= fStarted
		}
		r.giveBack(i)
		r.giveUp(i)
	default:
		r.launchStarted(i)
	}
}

func (r *run) noMoreCommits(err error) {
	r.committer = nil
	r.halt(cancelled, &CommitError{Err: err})
}

// lastCommit makes durable what was derived after the last batch. It returns the error of the run.
func (r *run) lastCommit(err error) error {
	if r.committer == nil || !r.dirty {
		return err
	}
	if failed := r.committer.Commit(); failed != nil && err == nil {
		return &CommitError{Err: failed}
	}
	return err
}
