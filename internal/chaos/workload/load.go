//go:build linux

package workload

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/record"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// Settings say what a Load does. All are required.
type Settings struct {
	Runtime object.Runtime
	Clock   clock.Clock
	Callers int           // who call, each one call after the other
	Pause   time.Duration // between two calls of a caller, on average
	Timeout time.Duration // of a call
	Hot     int           // objects
	Seed    uint64
	Slow    bool        // one turn in ten lasts up to 200 ms, one in fifty up to 2 s
	Fail    func(error) // hears of what cannot be recorded
}

// Load is a number of callers. Its methods may be called by one goroutine at a time.
type Load struct {
	Settings

	wg   sync.WaitGroup
	stop context.CancelFunc
}

// Start starts the callers, who call until Stop. It does nothing if they do.
func (l *Load) Start(ctx context.Context) {
	if l.stop != nil {
		return
	}
	ctx, l.stop = context.WithCancel(ctx)
	for n := range l.Callers {
		rng := rand.New(rand.NewPCG(l.Seed, uint64(n))) //nolint:gosec // G404, G115: a workload that can be repeated
		l.wg.Go(func() { l.call(ctx, rng) })
	}
}

// Stop lets the calls that have begun end, and waits for that.
func (l *Load) Stop() {
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
	l.wg.Wait()
}

func (l *Load) call(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		id := Hot(rng.IntN(l.Hot))
		typ, _, _ := strings.Cut(id, "-")
		l.Call(context.WithoutCancel(ctx), id, draw(rng, typ, l.Slow), rng.IntN(4) == 0, l.Timeout)
		timer := l.Clock.NewTimer(time.Duration(rng.Int64N(int64(2*l.Pause) + 1)))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// Call makes one call and records it; false: it failed. Once means at most once.
func (l *Load) Call(ctx context.Context, id string, r Request, once bool, timeout time.Duration) bool {
	r.Op = crand.Text()[:16]
	e := &record.Entry{Kind: record.Call, Object: id, Op: r.Op, Method: r.Method, A: r.A, B: r.B, Once: once}
	err := l.make(ctx, e, r, timeout)
	if err == nil {
		err = record.Append(e)
	}
	if err != nil {
		l.Fail(err)
	}
	return err == nil && e.Code == ""
}

// make makes the call. Its error is one of the recording, not of the call.
func (l *Load) make(ctx context.Context, e *record.Entry, r Request, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := pack(r)
	if err != nil {
		return err
	}
	method := "Do"
	if r.Method == Read {
		method = "Look"
	}
	var options []object.CallOption
	if e.Once {
		options = append(options, object.AtMostOnce())
	}
	if e.Start, err = record.Now(); err != nil {
		return err
	}
	resp, failure := l.Runtime.Call(ctx, e.Object, method, req, options...)
	if e.End, err = record.Now(); err != nil {
		return err
	}
	if failure != nil {
		e.Code, e.Executed, e.Text = object.CodeOf(failure).String(), fmt.Sprint(object.Executed(failure)), failure.Error()
		return nil
	}
	var reply Reply
	if err := unpack(resp, &reply); err != nil {
		return err
	}
	e.Value, e.Life, e.Lineage, e.Turn = reply.Value, reply.Life, reply.Lineage, reply.Turn
	return nil
}
