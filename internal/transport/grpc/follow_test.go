package grpc

import (
	"context"
	"errors"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/ends"
)

// source is a context that is followed without its Done, which must not be asked for while it can be.
type source struct {
	context.Context
	ends.Point

	deaf  bool // it cannot be followed
	asked bool
}

func (s *source) Follow(f *ends.Follower) bool { return !s.deaf && s.Point.Follow(f) }

func (s *source) Done() <-chan struct{} {
	s.asked = true
	return s.Context.Done()
}

// A call whose context can be followed ends when it is told so.
func TestCallEndsWithAContextThatIsFollowed(t *testing.T) {
	t.Parallel()
	for _, left := range []bool{false, true} {
		cause := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &source{Context: ctx}
		c, _ := vigilant(t.Context(), t, 0)
		w, err := c.begin(nil, &transport.Call{}, false, &bound{ctx: s}) //nolint:staticcheck // SA1012: no context says that it does not wait
		if err != nil {
			t.Fatal(err)
		}
		w.follow(s)
		want := object.ExecutedNo
		if left {
			leave(c)
			want = object.ExecutedUnknown
		}
		cancel(cause)
		s.End()
		o := await(s, w)
		if !errors.Is(o.why, context.Canceled) || !errors.Is(o.why, cause) || o.executed != want {
			t.Errorf("left %t: it ended with %+v", left, o)
		}
		if s.asked || c.flights != 0 {
			t.Errorf("left %t: asked for Done: %t; %d calls under way", left, s.asked, c.flights)
		}
	}
}

// spy notes that it was told.
type spy struct{ told bool }

func (s *spy) Ended(*ends.Follower) { s.told = true }

// A call that has its reply follows nothing, also where its context ends beside.
func TestCallThatIsOverFollowsNothing(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{true, false} {
		s := &source{Context: t.Context()}
		c, _ := vigilant(t.Context(), t, 0)
		w, err := c.begin(nil, &transport.Call{}, false, &bound{ctx: s}) //nolint:staticcheck // SA1012: no context says that it does not wait
		if err != nil {
			t.Fatal(err)
		}
		w.follow(s)
		arrive(t, c, w)
		if early {
			s.End()
		}
		if o := await(s, w); o.why != nil {
			t.Errorf("it ended with %+v", o)
		}
		var other spy
		w.follower.Told = &other
		s.End()
		if other.told || len(w.done) != 0 {
			t.Error("a waiter is told of what it followed before")
		}
	}
}

// Where a context cannot be followed, its Done is waited for.
func TestCallEndsWithAContextThatIsNotFollowed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &source{Context: ctx, deaf: true}
	c, _ := vigilant(t.Context(), t, 0)
	w, err := c.begin(nil, &transport.Call{}, false, &bound{ctx: s}) //nolint:staticcheck // SA1012: no context says that it does not wait
	if err != nil {
		t.Fatal(err)
	}
	w.follow(s)
	cancel()
	if o := await(s, w); !errors.Is(o.why, context.Canceled) || o.executed != object.ExecutedNo {
		t.Errorf("it ended with %+v", o)
	}
}
