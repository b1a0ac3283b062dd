package measure_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/xiaonanln/goverse/bench/limits"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
)

const waiting = 20

func TestOrderOfAChannel(t *testing.T) {
	t.Parallel()
	o, err := tiny().Order(t.Context(), limits.Channel(), waiting)
	if err != nil {
		t.Fatal(err)
	}
	if o.OutOfPlace != 0 || o.Overtaking != 0 || o.Callers != waiting {
		t.Errorf("%+v", o)
	}
}

func TestOrderSeesTheLastServedFirst(t *testing.T) {
	t.Parallel()
	o, err := tiny().Order(t.Context(), stack{}, waiting)
	if err != nil {
		t.Fatal(err)
	}
	if o.OutOfPlace != waiting || o.Overtaking != 0 {
		t.Errorf("%d of %d out of place, want all, and %d overtaking, want none", o.OutOfPlace, waiting, o.Overtaking)
	}
}

func TestOrderSeesOvertaking(t *testing.T) {
	t.Parallel()
	o, err := tiny().Order(t.Context(), stack{barge: 3}, waiting)
	if err != nil {
		t.Fatal(err)
	}
	if o.Overtaking != 3 {
		t.Errorf("%d overtaking, want 3", o.Overtaking)
	}
}

func TestOrderNeedsAHolder(t *testing.T) {
	t.Parallel()
	if _, err := tiny().Order(t.Context(), limits.Mutex(), waiting); !errors.Is(err, measure.ErrNoHold) {
		t.Errorf("a target that cannot be held: %v", err)
	}
}

// stack serves the last caller first while it is held, after some that come when it is let go.
type stack struct{ barge int }

func (stack) Name() string   { return "stack" }
func (stack) Module() string { return "" }

func (s stack) Open(context.Context, peer.Options) (peer.Target, error) {
	t := &stackTarget{barge: s.barge, arrive: make(chan chan int64), hold: make(chan (<-chan struct{})), quit: make(chan struct{})}
	go t.serve()
	return t, nil
}

type stackTarget struct {
	barge  int
	arrive chan chan int64
	hold   chan (<-chan struct{})
	quit   chan struct{}
}

func (t *stackTarget) serve() {
	var value int64
	for {
		select {
		case to := <-t.arrive:
			value++
			to <- value
		case released := <-t.hold:
			value = t.pile(released, value)
		case <-t.quit:
			return
		}
	}
}

// pile takes all who wait until released. Then it answers those that barge, and the pile from the top.
func (t *stackTarget) pile(released <-chan struct{}, value int64) int64 {
	piled := make([]chan int64, waiting)
	for i := range piled {
		piled[i] = <-t.arrive
	}
	<-released
	for range t.barge {
		value++
		to := <-t.arrive
		to <- value
	}
	for _, to := range slices.Backward(piled) {
		value++
		to <- value
	}
	return value
}

func (t *stackTarget) Context(ctx context.Context) context.Context { return ctx }

func (t *stackTarget) Call(context.Context, int, int) (int64, error) {
	to := make(chan int64, 1)
	t.arrive <- to
	return <-to, nil
}

func (t *stackTarget) Hold(ctx context.Context) {
	t.hold <- ctx.Done()
	<-ctx.Done()
}

func (t *stackTarget) Close(context.Context) error {
	t.quit <- struct{}{}
	return nil
}
