package waitfor

import "github.com/kflow/kflow/engine/task"

// Waits implements task.Waiter: this kind changes nothing.
func (p *WaitFor) Waits() bool { return true }

var _ task.Waiter = (*WaitFor)(nil)
