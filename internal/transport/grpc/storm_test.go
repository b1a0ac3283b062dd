package grpc_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport/grpc"
)

// calls of all sizes that are given up by their time, by their context, by broken connections: everybody gets the
// reply to his own call or none.
func TestStormOfEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{MaxCalls: 100}, grpc.Config{MaxCalls: 200})
	p := newProxy(t, w.callee.Peer().Address)
	link := w.through(p)
	stop := time.Now().Add(6 * time.Second)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			<-time.After(1500 * time.Millisecond)
			if !time.Now().Before(stop) {
				return // a cut that nobody has noticed yet would be the last call's
			}
			p.cut()
		}
	})
	var mu sync.Mutex
	good, bad := 0, 0
	for g := range 48 {
		wg.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(g), 5))
			for i := uint64(0); time.Now().Before(stop); i++ {
				size := []int{16, 16, 16, 2000, 17_000, 70_000, 200_000}[dice.IntN(7)]
				body := make([]byte, size)
				tag := uint64(g)<<32 | i
				binary.LittleEndian.PutUint64(body, tag)
				c := call("Echo", body...)
				ctx, cancel := w.ctx, context.CancelFunc(func() {})
				switch dice.IntN(4) {
				case 0:
					c.Timeout = time.Duration(dice.IntN(3000)) * time.Microsecond
				case 1:
					ctx, cancel = context.WithTimeout(ctx, time.Duration(dice.IntN(3000))*time.Microsecond)
				case 2:
					c.Timeout = time.Second
				}
				r, err := link.Call(ctx, c)
				cancel()
				if err != nil || r.Err != nil {
					mu.Lock()
					bad++
					mu.Unlock()
					continue
				}
				mu.Lock()
				good++
				mu.Unlock()
				if len(r.Body) != size || binary.LittleEndian.Uint64(r.Body) != tag {
					t.Errorf("the reply is another's: %d bytes, want %d", len(r.Body), size)
					return
				}
			}
		})
	}
	wg.Wait()
	w.works("afterwards", link)
	s := grpc.StateOf(link)
	t.Logf("%d replies, %d ends without, %+v", good, bad, s)
	if s.Flights != 0 {
		t.Errorf("%d calls are under way", s.Flights)
	}
}
