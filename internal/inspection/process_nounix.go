//go:build !unix

package inspection

import "time"

// cpuTime would be the time that the process has used processors for.
func cpuTime() time.Duration { return 0 }
