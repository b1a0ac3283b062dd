package transporttest

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// testCallDeadline: a call ends at its own deadline, on both sides, though its context goes on; and when its
// context ends, if that is sooner.
func testCallDeadline(k *kit) {
	b := newBlocker()
	b.stubborn = true // else its reply may be sooner than the end
	_, link, _ := k.pair(b)
	k.works("before", link)
	timed := func(ctx context.Context, timeout time.Duration) error {
		c := call("Room-1", "Block")
		c.Deadline = k.clock.Now().Add(timeout)
		_, err := ask(ctx, link, c)
		return err
	}
	var all sync.WaitGroup
	for i := range 20 { // the later ones are over sooner
		all.Go(func() {
			err := timed(k.ctx, time.Duration(40-i)*time.Millisecond)
			k.failed("a call of its own time", err, object.CodeDeadlineExceeded, object.ExecutedUnknown, context.DeadlineExceeded)
		})
	}
	for range 20 {
		ctx := comes(k, "a call to run", b.running)
		if _, limited := ctx.Deadline(); !limited {
			k.t.Error("the call runs without a deadline")
		}
		comes(k, "its context to end", ctx.Done())
	}
	all.Wait()

	short, cancel := context.WithTimeout(k.ctx, 10*time.Millisecond)
	defer cancel()
	err := timed(short, time.Hour)
	k.failed("a call whose context ends first", err, object.CodeDeadlineExceeded, object.ExecutedUnknown, context.DeadlineExceeded)
	err = timed(k.ctx, -1)
	k.failed("a call without time", err, object.CodeDeadlineExceeded, object.ExecutedNo, context.DeadlineExceeded)
	close(b.let)
	k.works("after", link)
}

// testEnormousTimes: who gives a call all the time in the world has it run, one-way or not.
func testEnormousTimes(k *kit) {
	b := newBlocker()
	_, link, _ := k.pair(b)
	k.works("before", link)
	runs := func(what string, d time.Duration) {
		ctx := comes(k, what, b.running)
		if at, limited := ctx.Deadline(); ctx.Err() != nil || limited && at.Sub(k.clock.Now()) < 50*365*24*time.Hour {
			k.t.Errorf("%s that has %v: ends at %v, %v", what, d, at, ctx.Err())
		}
	}
	var all sync.WaitGroup
	for _, d := range []time.Duration{math.MaxInt64, math.MaxInt64 - time.Hour, 1 << 62} {
		c := call("Room-1", "Block")
		c.Deadline = k.clock.Now().Add(d)
		all.Go(func() {
			if _, err := ask(context.WithoutCancel(k.ctx), link, c); err != nil { // which has less time
				k.t.Errorf("a call that has %v: %v", d, err)
			}
		})
		runs("a call", d)
		sent := call("Room-1", "Block")
		sent.OneWay, sent.Timeout = true, d
		if err := link.Send(k.ctx, sent); err != nil {
			k.t.Error(err)
		}
		runs("a one-way call", d)
	}
	close(b.let)
	all.Wait()
	k.works("after", link)
}
