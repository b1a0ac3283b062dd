package server_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
	"github.com/xiaonanln/goverse/util/clock"
)

// A server whose lease is over by the clock, and that nobody has told so, begins no call
// of a client and sends it no reply: another server may have answered meanwhile. It would,
// if it did not look. The store still has the lease when the time comes back.
func TestClientsAreNotAnsweredWithoutALease(t *testing.T) {
	t.Parallel()
	for name, flaws := range map[string]shard.Flaws{"sound": {}, "flawed": {AnswerClients: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slept := &skewed{Clock: clock.System(), suspend: true}
			f := create(t, func(c *server.Config) { c.LeaseTTL = time.Hour }) // no renewal comes meanwhile
			f.SetClock(slept)
			f.Plant(flaws)
			if err := f.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			inFlight, beginning := f.dial(t), f.dial(t)
			reply := started(func() error {
				_, err := goverseclient.Call[*text](t.Context(), inFlight, "Block", nil)
				return err
			})
			f.probe.awaitEntered(t)

			slept.ahead.Store(int64(2 * time.Hour))
			_, begun := goverseclient.Call[*text](t.Context(), beginning, "Echo", wrapperspb.String("late"))
			close(f.probe.release)
			answered := receive(t, reply, "the end of the call in flight")
			slept.ahead.Store(0)

			if flaws.AnswerClients {
				if begun != nil || answered != nil {
					t.Errorf("without the guard: %v, %v, want both calls answered", begun, answered)
				}
				return
			}
			wantError(t, "a call that begins", begun, object.ErrFenced, object.ExecutedNo)
			wantError(t, "a call in flight", answered, object.ErrFenced, object.ExecutedUnknown)
			if _, err := goverseclient.Call[*text](t.Context(), beginning, "Echo", wrapperspb.String("again")); err != nil {
				t.Errorf("with its lease: %v", err)
			}
		})
	}
}
