//go:build !linux

package checkpoint

import "os"

// fdatasync waits until f has reached the disk.
func fdatasync(f *os.File) error { return f.Sync() }
