package measure

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"time"
)

// goroutineID is how a goroutine's stack dump begins: "goroutine 17 [".
type goroutineID string

// currentGoroutine returns the ID of the goroutine that calls it.
func currentGoroutine() goroutineID {
	var buf [64]byte
	head := buf[:runtime.Stack(buf[:], false)]
	end := bytes.IndexByte(head, '[')
	return goroutineID(head[:end+1])
}

const (
	// dumpSize holds the stacks of a thousand goroutines several times over.
	dumpSize = 16 << 20
	// pollEvery is the rest between two looks.
	pollEvery = 50 * time.Microsecond
)

// watcher looks at what goroutines wait for. It serves one goroutine.
type watcher struct{ dump []byte }

func newWatcher() *watcher { return &watcher{dump: make([]byte, dumpSize)} }

// await returns when a goroutine waits for another one.
func (w *watcher) await(ctx context.Context, id goroutineID) error {
	for !w.waits(id) {
		if err := sleep(ctx, pollEvery); err != nil {
			return fmt.Errorf("await caller in queue: %w", err)
		}
	}
	return nil
}

// waits reports whether a goroutine waits for another one to let it go on, by a channel or a condition. Waiting
// for a lock does not count: it passes by itself.
func (w *watcher) waits(id goroutineID) bool {
	dump := w.dump[:runtime.Stack(w.dump, true)]
	_, state, found := bytes.Cut(dump, []byte(id))
	if !found {
		return false
	}
	for _, s := range []string{"chan receive", "chan send", "select", "sync.Cond.Wait"} {
		if bytes.HasPrefix(state, []byte(s)) {
			return true
		}
	}
	return false
}
