//go:build !linux

package inspection

import "time"

// residentBytes would be how much memory the process has from the system.
func residentBytes() uint64 { return 0 }

// processAge would be how long ago the process started.
func processAge() (age time.Duration, ok bool) { return 0, false }
