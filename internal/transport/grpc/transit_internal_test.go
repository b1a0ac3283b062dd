package grpc

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/util/clock"
)

// message is one that is sent and arrives, on the clocks of both sides, and by how much it is late.
type message struct{ sent, arrived, late time.Duration }

func TestTransit(t *testing.T) {
	t.Parallel()
	const s, ms = time.Second, time.Millisecond
	for name, messages := range map[string][]message{
		"one":                            {{5 * s, 900 * s, 0}},
		"all alike":                      {{5 * s, 900 * s, 0}, {6 * s, 901 * s, 0}, {70 * s, 965 * s, 0}, {80 * s, 975 * s, 0}},
		"some are slower":                {{5 * s, 900 * s, 0}, {6 * s, 901*s + 3*ms, 3 * ms}, {7 * s, 902 * s, 0}},
		"the first was slow":             {{5 * s, 900*s + 50*ms, 0}, {6 * s, 901 * s, 0}, {7 * s, 902*s + 50*ms, 50 * ms}},
		"the receiver stood still":       {{5 * s, 0, 0}, {6 * s, 11 * s, 10 * s}, {15 * s, 11*s + ms, s + ms}, {16 * s, 11*s + 2*ms, 2 * ms}, {17 * s, 12 * s, 0}},
		"… when the window ends as well": {{1 * s, 0, 0}, {4 * s, 3 * s, 0}, {4*s + ms, 13 * s, 10*s - ms}, {4*s + 2*ms, 13 * s, 10*s - 2*ms}},
		"the sender's clock stood still": {{5 * s, 0, 0}, {6 * s, 11 * s, 10 * s}, {8 * s, 13 * s, 10 * s}, {11 * s, 16 * s, 0}, {16 * s, 21 * s, 0}, {17 * s, 22*s + ms, ms}},
		"the way got shorter":            {{5 * s, 10 * s, 0}, {6 * s, 10 * s, 0}, {7 * s, 11 * s, 0}, {7 * s, 12 * s, s}},
	} {
		var tr transit
		for i, m := range messages {
			if late := tr.late(m.arrived, uint64(m.sent)); late != m.late {
				t.Errorf("%s: message %d is %v late, want %v", name, i, late, m.late)
			}
		}
	}
}

// Whatever a peer says of its clock, no message comes before it was sent.
func TestTransitOfForgedTimes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var tr transit
		now := time.Duration(0)
		for range 50 {
			now += time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "passes"))
			sent := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, uint64(time.Hour)), rapid.SampledFrom([]uint64{0, 1<<63 - 1, 1 << 63, 3 << 62, math.MaxUint64})).Draw(t, "sent")
			if late := tr.late(now, sent); late < 0 {
				t.Fatalf("%v late", late)
			}
		}
	})
}

// Every message counts, not only those with calls, by when it left.
func TestArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCallee(&endpoint{transport: New(Config{Clock: clock.Virtual()}), base: t.Context()}, serverStream{ctx: t.Context()})
		ping := payloadOf(appendNumbered(nil, kindPing, 1))
		comes := func(sentAt, late time.Duration) {
			t.Helper()
			if err := c.take(uint64(sentAt), kindPing, ping); err != nil {
				t.Fatal(err)
			}
			if late >= 0 { // else nobody asks
				if got := c.root.now() - c.arrived(); got != late {
					t.Errorf("what left at %v counts as %v late, want %v", sentAt, got, late)
				}
			}
			c.runAccepted()
		}
		for i := range 20 {
			comes(time.Duration(i)*time.Second, -1)
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
		}
		comes(12*time.Second, 8*time.Second)
		comes(20*time.Second, 0)
		c.fail(errPlayed)
	})
}
