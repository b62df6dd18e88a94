// Package fidelity holds the simulator against reality: the same small playbooks run on a host of test/lab and on a
// simulated one, and what kflow tells of it (plans, events, changes) and what is then on the host must be the same.
//
// Each playbook of testdata is planned, run, run again and planned again, on both. Its head says what to look at on the
// host after each run:
//
//	# look: /etc/example /proc/sys/vm/swappiness   paths: type, mode, owner, content; directories with all below
//	# list: /etc/kubernetes                         the same without content
//	# ask: systemctl is-active cron.service         a command that only asks: its exit code and output
//	# fails                                         the run is meant to fail, on both alike
//	# any order                                     tasks that do not wait for each other: in which order they run is not compared
//	# again: task                                   tasks that are actions: a second run does them again
//
// The playbooks run in the order of their names on the same two hosts, which are bare at first: those of testdata on a Debian
// 12, those of testdata/rocky on a host with real dnf and rpm that calls itself a Rocky Linux 9 (all but these is Debian's
// there, and SELinux is not to be had; test/lab/README.md says more). What cannot be the same is
// listed in excuses_test.go, each with its reason; an excuse that hides no difference any more fails the test.
package fidelity
