package grpc

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// a reply is owed until a ping that was made after it was queued is answered, also where it is encoded without
// the lock.
func TestWhatIsOwed(t *testing.T) {
	t.Parallel()
	tr := New(Config{Clock: clock.Virtual()})
	reply := &transport.Reply{Reply: object.Reply{Body: make([]byte, large-1)}}
	for range 3000 {
		c := &callee{}
		c.init(tr)
		c.root.init(context.Background(), tr.cfg.Clock)
		of := &served{callee: c, number: 1, ctx: &callContext{root: &c.root}}
		var wg sync.WaitGroup
		wg.Go(func() { c.answer(of, reply) })
		wg.Go(func() { runtime.Gosched(); c.sendPing() })
		wg.Wait()
		if c.pinged >= c.owed && c.due < c.made {
			t.Fatalf("the reply is owed until pong %d, and ping %d goes before it", c.owed, c.pinged)
		}
	}
}
