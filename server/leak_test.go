package server_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
)

// usage is what a process takes of its machine.
type usage struct {
	goroutines, files int
	heap              uint64
}

func measure() usage {
	runtime.GC()
	runtime.GC() // finalizers of the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil { // elsewhere: unknown
		u.files = len(open)
	}
	return u
}

// Servers that have stopped leave nothing behind. Not parallel: it counts all that the
// process has.
func TestStartAndStopTwoHundredTimes(t *testing.T) {
	cycle := func(t *testing.T) {
		t.Helper()
		f := start(t)
		for i := range 3 {
			c, err := goverseclient.Dial(t.Context(), f.ClientAddr())
			if err != nil {
				t.Fatal(err)
			}
			for j := range 10 {
				if _, err := goverseclient.Call[*number](t.Context(), c, "AddTo", wrapperspb.String(boxNo(i*10+j))); err != nil {
					t.Fatal(err)
				}
			}
			if i == 0 {
				c.Close() // the others are there when the server stops
			}
			defer c.Close()
		}
		if err := f.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		t.Run("warm up", cycle)
	}
	before := measure()
	for range 200 {
		t.Run("cycle", cycle)
	}
	after := measure()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); after = measure() {
		if after.goroutines <= before.goroutines && after.files <= before.files {
			break
		}
	}
	t.Logf("before %+v, after %+v", before, after)
	if after.goroutines > before.goroutines || after.files > before.files {
		t.Errorf("goroutines or files are left: %+v, before %+v", after, before)
	}
	// What testing keeps of 200 subtests is far less than this, 200 servers are far more.
	if after.heap > before.heap+1<<20 {
		t.Errorf("memory is left: %+v, before %+v", after, before)
	}
}
