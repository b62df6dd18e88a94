package checkpoint

import (
	"os"
	"syscall"
)

// fdatasync waits until the data and the size of f have reached the disk.
func fdatasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return err
		}
	}
}
