package measure

import (
	"runtime"
	"time"
)

// Usage is what a process has consumed, or several of them together.
type Usage struct {
	CPU     time.Duration // user and system; 0 where it is unknown
	Mallocs uint64
	Bytes   uint64 // allocated
	GCs     uint32
}

// ReadUsage returns what this process has consumed so far.
func ReadUsage() Usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{CPU: cpuTime(), Mallocs: m.Mallocs, Bytes: m.TotalAlloc, GCs: m.NumGC}
}

// Plus adds what others have consumed.
func (u Usage) Plus(v Usage) Usage {
	return Usage{CPU: u.CPU + v.CPU, Mallocs: u.Mallocs + v.Mallocs, Bytes: u.Bytes + v.Bytes, GCs: u.GCs + v.GCs}
}

// Minus is what has been consumed since v.
func (u Usage) Minus(v Usage) Usage {
	return Usage{CPU: u.CPU - v.CPU, Mallocs: u.Mallocs - v.Mallocs, Bytes: u.Bytes - v.Bytes, GCs: u.GCs - v.GCs}
}
