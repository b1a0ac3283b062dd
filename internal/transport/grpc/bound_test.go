package grpc_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
)

// a caller that keeps to the bound of calls under way, which is the same on both sides, is never refused for it.
func TestTheBoundIsTheSameOnBothSides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{MaxCalls: 1}, grpc.Config{MaxCalls: 1})
	var refused, done atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				r, err := w.link.Call(w.ctx, call("Echo"))
				switch {
				case err != nil:
					t.Error(err)
					return
				case r.Err != nil && errors.Is(r.Err, object.ErrOverloaded):
					refused.Add(1)
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d of %d calls were refused as too many, though the caller waits for room", n, done.Load())
	}
}
