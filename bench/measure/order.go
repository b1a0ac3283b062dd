package measure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/xiaonanln/goverse/bench/peer"
)

// ErrNoHold says that a peer cannot show its order of service.
var ErrNoHold = errors.New("the target cannot be held")

// Order is whether calls that wait for one object are served in the order in which they came.
type Order struct {
	Peer    string
	Callers int
	// OutOfPlace is how many callers were served at another position than the one they came in.
	OutOfPlace int
	// Overtaking is how many callers were served before one that had waited when they came.
	Overtaking int
}

// Order holds an object, lets callers queue behind it one by one, lets go, and compares the order in which
// they were served with the order in which they queued. While the queue is served as many callers come anew:
// each must be served after all that waited.
//
// A caller counts as queued when the Go scheduler says that its goroutine waits: then its request is in the
// object's queue, whatever that is, and only then the next caller starts. The order of service is the
// counter's value in each caller's answer.
func (b Bench) Order(ctx context.Context, p peer.Peer, callers int) (o Order, err error) {
	target, err := p.Open(ctx, peer.Options{Objects: 1, Callers: 2 * callers})
	if err != nil {
		return Order{}, fmt.Errorf("open %s: %w", p.Name(), err)
	}
	defer func() { err = errors.Join(err, target.Close(ctx)) }()
	holder, ok := target.(peer.Holder)
	if !ok {
		return Order{}, fmt.Errorf("order of %s: %w", p.Name(), ErrNoHold)
	}
	if err := activate(ctx, target, 1, 1); err != nil {
		return Order{}, fmt.Errorf("activate object of %s: %w", p.Name(), err)
	}
	positions, err := queueUp(ctx, target, holder, callers)
	if err != nil {
		return Order{}, fmt.Errorf("order of %s: %w", p.Name(), err)
	}
	o = Order{Peer: p.Name(), Callers: callers}
	for came, served := range positions {
		switch {
		case came < callers && came != served:
			o.OutOfPlace++
		case came >= callers && served < callers:
			o.Overtaking++
		}
	}
	return o, nil
}

// queueUp returns each caller's position in the order of service: first those that waited, in the order in
// which they came, then those that came after the object was let go.
func queueUp(ctx context.Context, target peer.Target, holder peer.Holder, callers int) ([]int, error) {
	held, release := context.WithCancel(ctx)
	defer release()
	var (
		done    sync.WaitGroup
		answers = make([]int64, 2*callers)
		errs    = make([]error, 2*callers)
		watch   = newWatcher()
		queueIn = func(call func()) error {
			started := make(chan goroutineID, 1)
			done.Go(func() {
				started <- currentGoroutine()
				call()
			})
			return watch.await(ctx, <-started)
		}
	)
	err := queueIn(func() { holder.Hold(target.Context(held)) })
	for i := 0; i < callers && err == nil; i++ {
		callerCtx := target.Context(ctx)
		err = queueIn(func() { answers[i], errs[i] = target.Call(callerCtx, i, 0) })
	}
	release()
	for i := callers; i < 2*callers && err == nil; i++ {
		callerCtx := target.Context(ctx)
		done.Go(func() { answers[i], errs[i] = target.Call(callerCtx, i, 0) })
		runtime.Gosched() // so that they come one by one, all through the time of service
	}
	done.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return ranks(answers)
}

// ranks turns answers, which must be consecutive once sorted, into positions.
func ranks(answers []int64) ([]int, error) {
	least := answers[0]
	for _, a := range answers {
		least = min(least, a)
	}
	positions, seen := make([]int, len(answers)), make([]bool, len(answers))
	for i, a := range answers {
		at := int(a - least)
		if at >= len(answers) || seen[at] {
			return nil, fmt.Errorf("answer %d of caller %d is not one of %d consecutive ones", a, i, len(answers))
		}
		positions[i], seen[at] = at, true
	}
	return positions, nil
}
