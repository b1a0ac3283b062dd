package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

func TestHistoryTimestampIsTheClockInMicroseconds(t *testing.T) {
	t.Parallel()
	var h history
	got := h.add(time.Unix(7, 123456789), "ann", "hi")
	want := &chat_pb.ChatMessage{UserName: "ann", Message: "hi", Timestamp: 7_123_456}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestHistoryTimestampsIncreaseWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	var h history
	clock := []int64{1000, 1000, 1000, 400, 0, -5, 1002, 1003, 2000}
	want := []int64{1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 2000}
	for i, now := range clock {
		if got := h.add(time.UnixMicro(now), "ann", "hi").GetTimestamp(); got != want[i] {
			t.Errorf("message %d at %d got timestamp %d, want %d", i, now, got, want[i])
		}
	}
}

func TestHistoryGoesOnAfterAnotherClock(t *testing.T) {
	t.Parallel()
	var h history
	h.add(time.UnixMicro(1000), "ann", "hi")
	for _, step := range []struct{ advance, now, shows, next int64 }{
		{0, 900, 1000, 1001},     // nobody knows better
		{500, 900, 1001, 1002},   // … who is behind
		{5000, 900, 5000, 5001},  // the other is ahead
		{0, 6000, 6000, 6000},    // the machine's is
		{7000, 8000, 8000, 8000}, // … further
	} {
		h.advance(step.advance)
		if got := h.clock(time.UnixMicro(step.now)); got != step.shows {
			t.Errorf("after %+v the clock shows %d", step, got)
		}
		if got := h.add(time.UnixMicro(step.now), "ann", "hi").GetTimestamp(); got != step.next {
			t.Errorf("after %+v a message has timestamp %d", step, got)
		}
	}
}

func TestHistoryKeepsTheNewestThousand(t *testing.T) {
	t.Parallel()
	var h history
	for i := range 2*maxHistory + 7 {
		h.add(time.UnixMicro(1), "ann", fmt.Sprint(i))
		if len(h.messages) > maxHistory {
			t.Fatalf("%d messages are kept after %d", len(h.messages), i+1)
		}
	}
	var kept []string
	after := int64(0)
	for pages := 0; ; pages++ {
		page := h.after(after)
		if len(page) == 0 {
			if pages != maxHistory/maxPoll {
				t.Errorf("%d pages, want %d", pages, maxHistory/maxPoll)
			}
			break
		}
		if len(page) != maxPoll {
			t.Errorf("a page has %d messages, want %d", len(page), maxPoll)
		}
		for _, m := range page {
			kept = append(kept, m.GetMessage())
		}
		after = newest(page, after)
	}
	if len(kept) != maxHistory || kept[0] != fmt.Sprint(maxHistory+7) || kept[maxHistory-1] != fmt.Sprint(2*maxHistory+6) {
		t.Errorf("kept %d from %s to %s", len(kept), kept[0], kept[len(kept)-1])
	}
	if recent := h.recent(); len(recent) != maxRecent || recent[maxRecent-1].GetMessage() != fmt.Sprint(2*maxHistory+6) {
		t.Errorf("recent are %d up to %s", len(recent), recent[len(recent)-1])
	}
}

func TestHistoryAnswersStayAsTheyAre(t *testing.T) {
	t.Parallel()
	var h history
	for i := range maxHistory {
		h.add(time.UnixMicro(int64(i+1)), "ann", fmt.Sprint(i))
	}
	polled, recent := h.after(0), h.recent()
	for range maxHistory {
		h.add(time.UnixMicro(1), "ann", "later")
	}
	if polled[0].GetMessage() != "0" || recent[0].GetMessage() != fmt.Sprint(maxHistory-maxRecent) {
		t.Errorf("answers changed: %v, %v", polled[0], recent[0])
	}
}

// TestHistoryPollersGetEachMessageOnce lets any number of pollers read along while
// messages come with any clock: whoever is never a whole history behind has them all.
func TestHistoryPollersGetEachMessageOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var h history
		var said []string
		got := make([][]string, 3)
		after := make([]int64, len(got))
		poll := func(p int) bool {
			page := h.after(after[p])
			got[p] = append(got[p], texts(page)...)
			after[p] = newest(page, after[p])
			return len(page) > 0
		}
		t.Repeat(map[string]func(*rapid.T){
			"say": func(t *rapid.T) {
				now := rapid.Int64Range(-3, 3).Draw(t, "now")
				burst := rapid.IntRange(1, 60).Draw(t, "burst")
				if len(said)+burst > maxHistory { // beyond, a poller may rightly miss what is gone
					t.Skip("full")
				}
				for range burst {
					text := fmt.Sprint(len(said))
					h.add(time.UnixMicro(now), "ann", text)
					said = append(said, "ann: "+text)
				}
			},
			"poll": func(t *rapid.T) { poll(rapid.IntRange(0, len(got)-1).Draw(t, "poller")) },
		})
		for p := range got {
			for poll(p) {
			}
			if diff := cmp.Diff(said, got[p]); diff != "" {
				t.Errorf("poller %d (-said +got):\n%s", p, diff)
			}
		}
	})
}
