package measure_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/bench/measure"
)

// hall lets so many members hear what is said, each a millisecond after the one before.
type hall struct {
	ear     *measure.Ear
	members int
	silent  bool
	said    sync.WaitGroup
}

func (h *hall) Hear(func(said time.Time)) {}

func (h *hall) Shout(context.Context, int) error {
	if h.silent {
		return errors.New("nobody may speak")
	}
	said := time.Now()
	h.said.Go(func() {
		for range h.members {
			<-time.After(time.Millisecond)
			h.ear.Heard(said)
		}
	})
	return nil
}

func TestFanOut(t *testing.T) {
	t.Parallel()
	const members = 100
	for name, c := range map[string]struct {
		hall *hall
		want string
	}{
		"all hear":       {hall: &hall{members: members}},
		"one does not":   {hall: &hall{members: members - 1}, want: "99 of 100"},
		"one hears more": {hall: &hall{members: members + 1}, want: "messages too many"},
		"nobody speaks":  {hall: &hall{silent: true}, want: "nobody may speak"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bench := measure.Bench{Now: time.Now}
				c.hall.ear = measure.NewEar(time.Now)
				out, err := bench.FanOut(t.Context(), c.hall, c.hall.ear, members, 64, 250*time.Millisecond)
				c.hall.said.Wait()
				if c.want != "" {
					if err == nil || !strings.Contains(err.Error(), c.want) {
						t.Errorf("it ends with %v", err)
					}
					return
				}
				if err != nil || out.Said != 3 || out.Heard != 3*members || out.Wall != 300*time.Millisecond {
					t.Errorf("%+v, %v", out, err)
				}
				near := func(got, want time.Duration) bool { return got >= want && got <= want+want/16 }
				if !near(out.P50, 50*time.Millisecond) || !near(out.P99, 99*time.Millisecond) || out.Max != 100*time.Millisecond {
					t.Errorf("latencies: %+v", out)
				}
			})
		})
	}
}

func TestShareDividesWhatCame(t *testing.T) {
	t.Parallel()
	u := measure.Share("it", 10, measure.Weight{Heap: 100, Stacks: 50, Resident: 1000, Goroutines: 5},
		measure.Weight{Heap: 1100, Stacks: 250, Resident: 3000, Goroutines: 25}, map[string]int64{"a": 500})
	if u.Heap != 100 || u.Stacks != 20 || u.Resident != 200 || u.Goroutines != 2 || u.Parts["a"] != 50 || u.Members != 10 {
		t.Errorf("%+v", u)
	}
}

// TestHeapPartsFindsWhoAllocated: what this package holds is ascribed to it, though the standard library made it.
func TestHeapPartsFindsWhoAllocated(t *testing.T) {
	t.Parallel()
	const held = 64 << 20
	kept := make([][]byte, 64)
	for i := range kept {
		kept[i] = base64.StdEncoding.AppendEncode(nil, make([]byte, held/len(kept)/4*3))
	}
	measure.Weigh()
	parts := measure.HeapParts()
	const own = "github.com/xiaonanln/goverse/bench/measure_test"
	if got := parts[own]; got < held/2 || got > 2*held {
		t.Errorf("%d bytes of %d are ascribed to %s: %v", got, held, own, parts)
	}
	for i := range kept {
		kept[i][0]++
	}
}
