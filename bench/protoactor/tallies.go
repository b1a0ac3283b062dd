package protoactor

import (
	"context"
	"fmt"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

// tallies is what all drivers share: payloads, answers, and how many objects there are.
type tallies struct {
	objects int
	warmed  int64 // calls that activated objects
	stamps  *peer.Stamps
}

func newTallies(opt peer.RemoteOptions) tallies {
	t := tallies{objects: opt.Objects, stamps: peer.NewStamps(opt.Callers)}
	t.stamps.Resize(peer.StampBytes)
	return t
}

// Context returns ctx: the calls take none.
func (t *tallies) Context(ctx context.Context) context.Context { return ctx }

// Resize implements [peer.Driver].
func (t *tallies) Resize(payload int) { t.stamps.Resize(payload) }

// answer reads and checks an answer to a caller.
func (t *tallies) answer(caller int, reply any, err error) (int64, error) {
	if err != nil {
		return 0, fmt.Errorf("request tally: %w", err)
	}
	resp, ok := reply.(*benchpb.BumpResponse)
	if !ok {
		return 0, errReply
	}
	return resp.GetValue(), t.stamps.Check(caller, resp.GetPayload())
}

// activate makes the first call to every object.
func (t *tallies) activate(ctx context.Context, bump func(ctx context.Context, caller, object int) (int64, error)) error {
	for i := range t.objects {
		if _, err := bump(ctx, 0, i); err != nil {
			return fmt.Errorf("activate object %d: %w", i, err)
		}
		t.warmed++
	}
	return nil
}

// audit reads every counter by one more call: together they must show all the calls that were made.
func (t *tallies) audit(ctx context.Context, made int64, bump func(ctx context.Context, caller, object int) (int64, error)) error {
	var sum int64
	for i := range t.objects {
		v, err := bump(ctx, 0, i)
		if err != nil {
			return fmt.Errorf("read object %d: %w", i, err)
		}
		sum += v - 1
	}
	if sum != made+t.warmed {
		return fmt.Errorf("the counters show %d calls, but %d were made", sum, made+t.warmed)
	}
	return nil
}
