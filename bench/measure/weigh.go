package measure

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Weight is what this process holds, in bytes.
type Weight struct {
	Heap, Stacks int64
	Resident     int64 // as the operating system sees it; 0: unknown
	Goroutines   int
}

// Weigh collects garbage, returns freed memory, and says what remains.
func Weigh() Weight {
	runtime.GC()
	debug.FreeOSMemory() // collects once more, so that pools are empty too
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Weight{
		Heap: int64(m.HeapAlloc), Stacks: int64(m.StackInuse), Resident: resident(),
		Goroutines: runtime.NumGoroutine(),
	}
}

// resident is the process's resident set in bytes, or 0 where /proc does not tell.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
