// Package tasktest tests kinds with data: a case is one txtar file that says how a host looks before, which parameters
// a task has, which changes are expected and how the host looks after. Nothing is executed; the host is in memory.
//
//	func TestCases(t *testing.T) { tasktest.Run(t, hostname.Kind(), "testdata/*.txtar") }
//
// `go test ./tasks/hostname -update` writes the expectations of all cases as they are now: write the inputs, run it, and
// read the diff.
//
// # A case
//
//	Text before the first section says which behaviour this is.
//
//	-- params.yaml --              the parameters as in a playbook (without the kind's name); short forms work
//	unit: containerd
//	-- before/etc/a.conf mode=0600 owner=etcd:etcd --
//	content                        a file; mode 0644 and owner root:root are the defaults
//	-- before/etc/conf.d/ --       a directory (those above a file need no section)
//	-- before/etc/localtime -> /usr/share/zoneinfo/UTC --
//	-- commands --                 programs the host knows, see below
//	-- changes --                  summaries of the changes, in order
//	-- ran --                      commands that were run and may have changed something, in order
//	-- after/etc/a.conf mode=0600 --
//	                               what is different in the end: every file that changed must be here
//	-- after/etc/b.conf absent --  it was removed
//
// Values in params.yaml have the types the engine would give them: content, source and template become task.Content
// (source and template name a file of a section controller/NAME; a template is taken as rendered), conditions are
// written {text: "host.facts.cpus >= 2", value: false}, and `!secret text` is a secret: it may not appear in a diff
// that is not marked secret, in a log, an error or an output; with source or template the content of the file is one. A
// file that does not end in a newline has the attribute nonl in its section line; repeat=1000 makes a large one, which
// after/ shows by sha256= alone.
//
// Further sections, all optional:
//
//	facts.yaml          facts that differ from those of the default host (Debian 12, amd64, 2 CPUs, 4 GiB)
//	state               key=value lines the commands may look at; `after 30s key=value` sets one when time has passed
//	text/NAME           text that commands refer to
//	controller/NAME     a file of the controller
//	dial                what the host can reach, one per line: tcp 10.0.0.1:6443 refused
//	http GET URL        what a server answers
//
// Expectations. changes, ran, error, after/ and saved/ are always compared (a section that is not there is empty), the
// others when they are there:
//
//	diff                summary and diff of each change
//	error               the failure, prefixed "parameters: " or "not yet: " where it is one of these, and by the summary of
//	                    the change that failed
//	hint, output        of that failure
//	logs                lines of Host.Log
//	progress            what was said of how far it is, a line each
//	outputs.yaml        outputs
//	saved/NAME          files the task saved on the controller
//
// # Commands
//
// An entry starts with ? (changes nothing) or $ (may change the host) and the arguments, quoted as in a shell; an
// argument * matches any one, ... at the end any rest, and a * within an argument any part. Indented lines say what it
// does:
//
//	? systemctl show *
//	> ActiveState=${containerd}        a line of standard output; ${key} is a state, $1 what the first * matched
//	! text                             a line of standard error
//	$ systemctl start containerd
//	  if installed=yes disk!=full      the entry holds only in this state; entries are tried in order
//	  sets containerd=active           state that holds from now on
//	  code 3                           exit code
//	  out NAME                         standard output is section text/NAME
//	  write /run/x mode=0600 = text    a file it writes; or `write /run/x NAME` for section text/NAME
//	  link /etc/a -> /etc/b            a symbolic link it makes
//	  remove /run/y                    a file it removes
//	  stdin apiVersion: v1             standard input must contain this
//	  takes 30s                        time that passes
//	  missing                          there is no such program (exec.ErrNotFound)
//
// A command the case does not know fails the test. So does a `$` command that a kind claims to be ReadOnly.
//
// # Network
//
// The attributes of an http section: status=503, header:Name=value, if:key=value, error="connection refused", cut=100
// (the connection breaks after so many bytes), nonl, tgz (the section lists `path mode=0755 = text` lines and the body
// is a tar.gz of them). Several sections of one URL are used one after the other, the last one for all later requests.
// Ranges and conditional requests work. Results of a dial line are ok, refused or timeout, several in a row
// comma-separated, and it may end in `if key=value`.
//
// # What is checked
//
// The runner carries a case out with package converge, as the engine does: Changes on a host that refuses writes, again
// with lazy parameters when there are changes, each Apply, Changes again, which must be empty unless the task is an
// action. Then, for a state, the whole once more: nothing may change.
package tasktest
