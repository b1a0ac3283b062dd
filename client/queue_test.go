package client

import (
	"testing"

	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"
)

// The queue against a slice of sizes: order, both limits to the byte, and what
// closing means.
func TestQueueKeepsOrderAndLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		maxMessages := rapid.IntRange(1, 5).Draw(t, "messages")
		maxBytes := rapid.IntRange(1, 20).Draw(t, "bytes")
		q := newPushQueue(maxMessages, maxBytes)
		var model []*anypb.Any
		sum, closed := 0, false
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				size := rapid.IntRange(1, 30).Draw(t, "size")
				msg := &anypb.Any{Value: make([]byte, size)}
				want := queued
				switch {
				case closed:
					want = shut
				case len(model) == 0:
				case len(model) == maxMessages, sum+size > maxBytes:
					want = overflow
				}
				if got := q.put(msg, size); got != want {
					t.Fatalf("put of %d bytes to %d in %d messages: %v, want %v", size, sum, len(model), got, want)
				}
				if want == queued {
					model = append(model, msg)
					sum += size
				}
			},
			"take": func(t *rapid.T) {
				msg, over := q.take()
				if len(model) == 0 {
					if msg != nil || over != closed {
						t.Fatalf("take from nothing: %v, %v", msg, over)
					}
					return
				}
				if msg != model[0] || over {
					t.Fatalf("take: %v, %v", msg, over)
				}
				sum -= len(msg.GetValue())
				model = model[1:]
			},
			"close":   func(*rapid.T) { q.close(); closed = true },
			"abandon": func(*rapid.T) { q.abandon(); closed, model, sum = true, nil, 0 },
			"": func(t *rapid.T) {
				if q.bytes != sum || len(q.items) != len(model) || len(q.sizes) != len(model) {
					t.Fatalf("%d messages, %d bytes; want %d, %d", len(q.items), q.bytes, len(model), sum)
				}
			},
		})
	})
}

// Whoever waits for the queue is woken by all that it may wait for.
func TestQueueWakes(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]func(*pushQueue){
		"put":     func(q *pushQueue) { q.put(&anypb.Any{}, 1) },
		"close":   (*pushQueue).close,
		"abandon": (*pushQueue).abandon,
	} {
		q := newPushQueue(1, 1)
		event(q)
		event(q) // a second event does not block
		select {
		case <-q.wake:
		default:
			t.Errorf("%s does not wake", name)
		}
	}
}
