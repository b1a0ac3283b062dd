package routing

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/util/clock"
)

// slowNetwork has links that send one call each time that somebody takes it.
type slowNetwork struct{ sent chan string }

func (n slowNetwork) Dial(transport.Peer) transport.Link { return slowLink{sent: n.sent} }

type slowLink struct {
	transport.Link

	sent chan string
}

func (l slowLink) Send(ctx context.Context, c *transport.Call) error {
	select {
	case l.sent <- c.ID:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (slowLink) Close() {}

// An outbox that is never empty takes no more memory than what waits in it, and keeps the order.
func TestOutboxIsUsedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const waiting = 10 * atATime
		network := slowNetwork{make(chan string)}
		l := newLinks(t.Context(), Config{Clock: clock.Virtual(), WaitingBytes: 1 << 20}, network, new(atomic.Uint64))
		box := &l.to(cluster.Route{Incarnation: "a"}).outbox
		for i := range 100 * waiting {
			if err := box.post(&letter{id: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
			if i < waiting {
				continue
			}
			if got, want := <-network.sent, fmt.Sprint(i-waiting); got != want {
				t.Fatalf("%s was sent, not %s", got, want)
			}
		}
		synctest.Wait()
		box.mu.Lock()
		if n := len(box.queue); n > 3*waiting {
			t.Errorf("%d letters wait in place for %d", waiting, n)
		}
		for i, l := range box.queue[:cap(box.queue)] {
			if used := i >= box.head && i < len(box.queue); used != (l.id != "") {
				t.Fatalf("letter %d of %d to %d is %q", i, box.head, len(box.queue), l.id)
			}
		}
		box.mu.Unlock()
		for range waiting {
			<-network.sent
		}
		synctest.Wait()
		box.mu.Lock()
		if box.bytes != 0 || box.busy || box.gone != box.posted || cap(box.queue) > mostSpare {
			t.Errorf("it is empty: %d bytes, busy=%v, %d of %d gone, place for %d", box.bytes, box.busy, box.gone, box.posted, cap(box.queue))
		}
		box.mu.Unlock()
		l.close()
	})
}

func TestDepartedIsBounded(t *testing.T) {
	t.Parallel()
	var d departed
	const n = 10 * mostDeparted
	for i := range n {
		d.add(fmt.Sprint(i))
	}
	if !d.has(fmt.Sprint(n-1)) || !d.has(fmt.Sprint(n-mostDeparted)) {
		t.Error("it has forgotten the last ones")
	}
	if d.has("0") || len(d.newer)+len(d.before) > 2*mostDeparted {
		t.Errorf("it holds %d", len(d.newer)+len(d.before))
	}
}
