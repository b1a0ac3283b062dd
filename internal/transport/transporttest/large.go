package transporttest

import (
	"bytes"
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

func testLargeMessages(k *kit) {
	_, link, _ := k.pair(handler{run: echo})
	dice := mathrand.New(mathrand.NewPCG(1, 2))
	largest := transport.MaxBytes - call("Room-1", "Echo").Size()
	sizes := []int{1<<14 - 1, 1 << 14, 1<<16 - 1, 1 << 16, 1<<20 + 1, 4 << 20, largest}
	var small sync.WaitGroup
	stop := make(chan struct{})
	small.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				k.works("beside a large message", link)
			}
		}
	})
	for _, size := range sizes {
		body := noise(dice, size)
		reply, err := ask(k.ctx, link, call("Room-1", "Echo", body...))
		switch {
		case err != nil:
			k.t.Errorf("%d bytes: %v", size, err)
		case reply.Err != nil:
			k.t.Errorf("%d bytes: %v", size, reply.Err)
		case !bytes.Equal(reply.Body, body):
			k.t.Errorf("%d bytes came back as %d, or others", size, len(reply.Body))
		}
	}
	close(stop)
	small.Wait()
}

func testTooLarge(k *kit) {
	large := make([]byte, transport.MaxBytes)
	_, link, _ := k.pair(handler{run: func(ctx context.Context, c *transport.Call) *transport.Reply {
		switch c.Method {
		case "Large":
			return &transport.Reply{Reply: object.Reply{Message: "M", Body: large}, Epoch: 7, Revision: 8}
		case "LargeError":
			return &transport.Reply{Err: object.Refuse(object.CodeNotFound, "", "", "", "", string(large)+"!")}
		case "Echo":
			return echo(ctx, c)
		}
		k.t.Errorf("a call of %d bytes has arrived", c.Size())
		return &transport.Reply{}
	}})
	for what, c := range map[string]*transport.Call{
		"body":     call("Room-1", "M", large...),
		"metadata": {Request: object.Request{Metadata: map[string]string{"a": string(large)}}},
		"chain":    {Chain: slices.Repeat([]transport.Step{{ID: string(large[:1<<20]), Method: "M"}}, 16)},
	} {
		_, err := ask(k.ctx, link, c)
		k.failed("Call with a large "+what, err, object.CodeResourceExhausted, object.ExecutedNo, transport.ErrTooLarge)
		err = link.Send(k.ctx, c)
		k.failed("Send with a large "+what, err, object.CodeResourceExhausted, object.ExecutedNo, transport.ErrTooLarge)
	}
	for method, executed := range map[string]object.Execution{"Large": object.ExecutedYes, "LargeError": object.ExecutedNo} {
		reply, err := ask(k.ctx, link, call("Room-1", method))
		k.must(err)
		k.failed(method, reply.Err, object.CodeResourceExhausted, executed, nil)
		if method == "Large" && (reply.Epoch != 7 || reply.Revision != 8) {
			k.t.Errorf("the reply has lost the epoch or revision: %+v", reply)
		}
	}
	k.works("after messages that were too large", link)
}

// ended is a context that has ended.
func ended(k *kit) context.Context {
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	return ctx
}

// testOrderOfLargeMessages: a large message is not overtaken by the same caller's next ones to the same object, and
// calls that were given up are not in the way.
func testOrderOfLargeMessages(k *kit) {
	const rounds = 30
	var mu sync.Mutex
	arrived := make(map[string][]byte)
	_, link, _ := k.pair(handler{
		accept: func(_ context.Context, c *transport.Call) {
			mu.Lock()
			defer mu.Unlock()
			if len(c.Body) > 0 {
				arrived[c.ID] = append(arrived[c.ID], c.Body[0])
			}
		},
		run: echo,
	})
	k.works("before", link)
	gone := ended(k)
	var callers sync.WaitGroup
	for i := range 3 {
		id := fmt.Sprintf("Room-%d", i)
		callers.Go(func() {
			for n := range rounds {
				size := []int{1, 40 << 10, 40 << 10, 40 << 10, 70 << 10, 1, 300 << 10, 20 << 10}[n%8]
				c := call(id, "Note", bytes.Repeat([]byte{byte(n)}, size)...)
				if err := link.Send(k.ctx, c); err != nil { //nolint:contextcheck // the other context has ended
					k.t.Errorf("a send of %d bytes: %v", size, err)
				}
				_, _ = ask(gone, link, call(id, "Note", make([]byte, size)...))
			}
			if _, err := ask(k.ctx, link, call(id, "Note", rounds)); err != nil { //nolint:contextcheck // the same
				k.t.Error(err)
			}
		})
	}
	callers.Wait()
	mu.Lock()
	defer mu.Unlock()
	for id, got := range arrived {
		if id != "Probe-1" && (len(got) != rounds+1 || !slices.IsSorted(got)) {
			k.t.Errorf("%s got its calls in the order %v", id, got)
		}
	}
	if len(arrived) != 4 {
		k.t.Errorf("%d objects were called, want 4", len(arrived))
	}
}
