// Package e2e holds the acceptance tests: kflow as it is shipped, on the real hosts of test/lab, with a real Kubernetes.
// They need root and a lab that is up; test/e2e/run.sh sees to both. Without KFLOW_LAB=1 they skip, and say so.
//
// The tests believe nothing kflow says of itself where they can look: hosts are asked through the lab's own ssh, and what
// ran how often is counted from the lines of the event log by code of this package alone.
package e2e
