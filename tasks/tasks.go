// Package tasks lists the kinds of tasks that kflow knows: one line each, in the open, with no init functions. To add a
// kind, write a package under this directory that exports Kind() task.Kind, and add its line.
package tasks

import (
	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/assert"
	"github.com/kflow/kflow/tasks/command"
	"github.com/kflow/kflow/tasks/download"
	"github.com/kflow/kflow/tasks/fetch"
	"github.com/kflow/kflow/tasks/file"
	"github.com/kflow/kflow/tasks/hostname"
	"github.com/kflow/kflow/tasks/image"
	"github.com/kflow/kflow/tasks/kubeadm"
	"github.com/kflow/kflow/tasks/kubectl"
	"github.com/kflow/kflow/tasks/kubectlapply"
	"github.com/kflow/kflow/tasks/modprobe"
	"github.com/kflow/kflow/tasks/pkg"
	"github.com/kflow/kflow/tasks/reboot"
	"github.com/kflow/kflow/tasks/repository"
	"github.com/kflow/kflow/tasks/selinux"
	"github.com/kflow/kflow/tasks/swap"
	"github.com/kflow/kflow/tasks/sysctl"
	"github.com/kflow/kflow/tasks/systemd"
	"github.com/kflow/kflow/tasks/timezone"
	"github.com/kflow/kflow/tasks/waitfor"
)

// All returns the registry of all kinds.
func All() *task.Registry {
	return task.NewRegistry(
		assert.Kind(),
		command.Kind(),
		download.Kind(),
		fetch.Kind(),
		file.Kind(),
		hostname.Kind(),
		image.Kind(),
		kubeadm.Kind(),
		kubectl.Kind(),
		kubectlapply.Kind(),
		modprobe.Kind(),
		pkg.Kind(),
		reboot.Kind(),
		repository.Kind(),
		selinux.Kind(),
		swap.Kind(),
		sysctl.Kind(),
		systemd.Kind(),
		timezone.Kind(),
		waitfor.Kind(),
	)
}
