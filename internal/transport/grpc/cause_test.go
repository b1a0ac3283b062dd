package grpc_test

import (
	"errors"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
)

// Of the calls that Close ends each hears that it was Close.
func TestCloseIsTheCause(t *testing.T) {
	t.Parallel()
	const rounds, links = 15, 64
	for range rounds {
		w := newWorld(t, grpc.Config{}, grpc.Config{})
		for range links {
			w.begin(w.ctx, w.caller.Dial(w.callee.Peer()), call("Block"))
			comes(w, "the call", w.ran.began)
		}
		w.close(w.callee)
		for range links {
			if err := comes(w, "a call's end", w.ran.ended); !errors.Is(err, transport.ErrClosed) {
				t.Fatalf("the cause of a call's end is %v, want ErrClosed", err)
			}
		}
		w.close(w.caller)
	}
}
