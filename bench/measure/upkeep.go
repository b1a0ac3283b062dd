package measure

import (
	"math"
	"runtime"
	"strings"
)

// Upkeep is what each of many members costs the process that holds them while nothing happens.
type Upkeep struct {
	Peer    string
	Members int
	// Heap and Stacks are bytes that are live after collection; Resident is what the operating system counts (0: unknown).
	Heap, Stacks, Resident float64
	Goroutines             float64
	// Parts is the heap by the package that allocated it, as far as the profile tells.
	Parts map[string]float64
}

// Share divides what came to a process among its new members.
func Share(name string, members int, before, after Weight, parts map[string]int64) Upkeep {
	each := func(after, before int64) float64 { return float64(after-before) / float64(members) }
	u := Upkeep{
		Peer: name, Members: members, Heap: each(after.Heap, before.Heap), Stacks: each(after.Stacks, before.Stacks),
		Resident: each(after.Resident, before.Resident), Goroutines: float64(after.Goroutines-before.Goroutines) / float64(members),
		Parts: map[string]float64{},
	}
	for part, bytes := range parts {
		u.Parts[part] = float64(bytes) / float64(members)
	}
	return u
}

// ProfileRate is how many bytes lie between two samples of the heap profile of a process whose upkeep is measured: it
// sets runtime.MemProfileRate before anything else.
const ProfileRate = 4096

// HeapParts is the live heap by the package whose function allocated it, from the heap profile: that nearest to the
// allocation which is not of the standard library, so that a buffer belongs to who asked for it. Call it after [Weigh].
func HeapParts() map[string]int64 {
	var records []runtime.MemProfileRecord
	for n, ok := runtime.MemProfile(nil, false); !ok; {
		records = make([]runtime.MemProfileRecord, n+100)
		n, ok = runtime.MemProfile(records, false)
		if ok {
			records = records[:n]
		}
	}
	parts := map[string]int64{}
	for i := range records {
		if r := &records[i]; r.InUseObjects() > 0 {
			// A sample stands for all the allocations of its size that were not sampled.
			size := float64(r.InUseBytes()) / float64(r.InUseObjects())
			parts[owner(r.Stack())] += int64(float64(r.InUseBytes()) / (1 - math.Exp(-size/float64(runtime.MemProfileRate))))
		}
	}
	return parts
}

// owner is the package nearest to an allocation that is not of the standard library, shortened to the module where that
// is another's.
func owner(stack []uintptr) string {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		if path := packageOf(frame.Function); strings.Contains(path, ".") {
			return path
		}
		if !more {
			return "standard library"
		}
	}
}

// packageOf cuts a function's name down to its package: "example.com/a/b.(*T).M" is "example.com/a/b".
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/')
	if dot := strings.IndexByte(function[slash+1:], '.'); dot >= 0 {
		function = function[:slash+1+dot]
	}
	if slash < 0 { // the standard library, or package main
		return ""
	}
	return function
}
