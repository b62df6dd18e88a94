//go:build !race

package bench

// manyHostsSize is the number of hosts of TestManyHosts.
const manyHostsSize = 500
