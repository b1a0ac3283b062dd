package grpc

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// Who waits for room in the queue is let in when it is half empty, and nobody who comes later before that.
func TestTheQueueIsHalfEmptyBeforeOthersAreLetIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const messages = 8
		c := quiet(bounds{queue: messages * alone, calls: 100})
		queue := func(size int) error {
			call := &transport.Call{Request: object.Request{Body: make([]byte, size)}}
			_, err := c.begin(nil, call, false, &bound{}) //nolint:staticcheck // SA1012: no context says that it does not wait
			return err
		}
		for range messages {
			send(t, c, alone)
		}
		if err := queue(1); !errors.Is(err, errNotNow) {
			t.Fatalf("a call to a full queue: %v", err)
		}
		var in atomic.Int32
		for range 3 {
			go func() {
				if _, err := c.begin(t.Context(), &transport.Call{}, false, &bound{}); err != nil {
					t.Error(err)
				}
				in.Add(1)
			}()
		}
		synctest.Wait()
		for left := messages - 1; left >= messages/2; left-- {
			kinds(t, c)
			synctest.Wait()
			if in.Load() > 0 {
				t.Fatalf("%d of those who wait were let in while %d of %d messages are left", in.Load(), left, messages)
			}
			if err := queue(1); !errors.Is(err, errNotNow) {
				t.Fatalf("one who came later, while others wait: %v", err)
			}
		}
		kinds(t, c)
		synctest.Wait()
		if in.Load() != 3 {
			t.Fatalf("%d of 3 were let in when the queue was half empty", in.Load())
		}
		if err := queue(1); err != nil {
			t.Errorf("a call when nobody waits: %v", err)
		}
	})
}

// Calls that are one too many do not hold up what is no call, or wait for the queue.
func TestCallsAreWaitedForByCallsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := quiet(bounds{queue: 1 << 20, calls: 1})
		w := send(t, c, 1)
		var in atomic.Bool
		go func() {
			if _, err := c.begin(t.Context(), &transport.Call{}, false, &bound{}); err != nil {
				t.Error(err)
			}
			in.Store(true)
		}()
		synctest.Wait()
		if _, err := c.begin(nil, &transport.Call{}, true, &bound{}); err != nil { //nolint:staticcheck // SA1012: it does not wait
			t.Errorf("a send beside a call too many: %v", err)
		}
		kinds(t, c)
		synctest.Wait()
		if in.Load() {
			t.Error("a call too many was let in for room in the queue")
		}
		c.mu.Lock()
		c.leaveLocked(w.number)
		c.mu.Unlock()
		synctest.Wait()
		if !in.Load() {
			t.Error("a call was not let in when another had ended")
		}
	})
}
