// Package kinds tests the kinds on simulated hosts, with data: a case is one txtar file in testdata that is carried out on
// every family of operating systems, as the command line would do it: plan, run, (heal and resume,) run again.
//
//	Text before the first section says which behaviour this is.
//
//	-- playbook.yaml --   the playbook; `kflow: v1` and a name are put before it; parts are in testdata/lib
//	-- NAME --            any other file beside it
//	-- hide --            parts whose changes are not shown
//	-- hosts --           a host per line with its groups; default: one host, n1
//	-- os --              families on which it is carried out; default: all
//	-- before/PATH --     a file that is on the hosts before
//	-- setup --           commands that are run on the hosts before; `install NAME` is that of the package manager
//	-- faults --          a fault per line
//	-- show --            what of the hosts is looked at in the end, a line each:
//	                        /etc/x.conf        a file, or a pattern; what is in it
//	                        unit NAME          is it there, does it run, does it start at boot
//	                        package NAME       its version, and whether it is held
//	                        run ARGV           what a program says
//	                      `HOST: ` before it asks that host; default: the first
//
// A line of setup or show that begins with @FAMILY,FAMILY counts on these families alone.
//
// The results follow, in a section for each set of families that have the same. `go test ./engine/sim/kinds -update`
// writes them as they are now: read the diff.
//
//	-- result rocky9 centos7 --
//	plan     TASK@HOST  what the plan says
//	first    TASK@HOST  what the run does (only what is not ok)
//	resume   ..         with faults, when the first run failed
//	second   ..         a further run; nothing, or a run that only has actions
//	== /etc/x.conf ..   what show asks for
//
// Checked besides: a further run changes nothing but what the plan before it calls an action, and a plan writes nothing.
package kinds
