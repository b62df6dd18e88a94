//go:build race

package bench

// manyHostsSize is the number of hosts of TestManyHosts: with the race detector everything takes ten times as long.
const manyHostsSize = 100
