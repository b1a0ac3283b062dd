package measure

import (
	"runtime"
	"time"
)

// usage is what the process has consumed so far.
type usage struct {
	cpu     time.Duration // user and system; 0 where it is unknown
	mallocs uint64
	bytes   uint64
	gcs     uint32
}

func readUsage() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{cpu: cpuTime(), mallocs: m.Mallocs, bytes: m.TotalAlloc, gcs: m.NumGC}
}
