// kflow carries out playbooks: documents of typed tasks, on all hosts at once, over SSH.
//
// Exit codes: 0 all is well, 1 the command line or a playbook is wrong, 2 a plan has changes, 3 tasks failed, 4 a host was
// unreachable, 5 another run holds the inventory or a host, 130 interrupted. After 3, 4 and 130 the run can be resumed.
package main

import (
	"context"
	"os"
)

// version is set when kflow is built (see Makefile).
var version = "dev"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
