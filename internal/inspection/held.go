package inspection

import (
	"iter"
	"time"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// held is what was collected and waits until there is more of it: a message costs much beside what is in it, as it wakes
// processes that have something else to do, or nothing. The zero held holds nothing back.
type held struct {
	most      time.Duration // for how long
	responses []*inspectpb.WatchResponse
	ends      []time.Duration // when their intervals ended
	began     bool            // something was told
	period    time.Time       // which of the times that are as long as most was, when something was collected last
}

// add adds what was collected, at a time by both clocks, and says whether all is to be told now: with events, where it was
// held for as long as it may be, and at the first collection of a period. These are the same for all nodes, so that what
// the nodes of a cluster tell comes together.
func (h *held) add(res *inspectpb.WatchResponse, now time.Duration, at time.Time) (due bool) {
	h.responses, h.ends = append(h.responses, res), append(h.ends, now)
	if h.most == 0 {
		h.began, h.period = true, time.Time{}
		return true
	}
	period := at.Add(EventDelay).Truncate(h.most) // a timer may be early
	due = !h.began || len(res.GetEvents()) > 0 || period != h.period && !h.period.IsZero() || now-h.ends[0] >= h.most
	h.began, h.period = true, period
	return due
}

// all yields what is held, oldest first, with its age by a clock, and forgets it.
func (h *held) all(now func() time.Duration) iter.Seq[*inspectpb.WatchResponse] {
	return func(yield func(*inspectpb.WatchResponse) bool) {
		for i, res := range h.responses {
			if i < len(h.responses)-1 { // the last has just been collected
				res.AgeNs = int64(now() - h.ends[i])
			}
			if !yield(res) {
				break
			}
		}
		clear(h.responses)
		h.responses, h.ends = h.responses[:0], h.ends[:0]
	}
}
