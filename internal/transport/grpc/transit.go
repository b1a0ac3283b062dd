package grpc

import "time"

// transitWindow is for how long, twice at most, the shortest way of a message is remembered.
const transitWindow = 4 * time.Second

// transit tells how long a message was on its way beyond what messages need: it has waited in a socket or a queue, as
// behind others or because this process stood still. The peers' clocks have nothing in common, but they run equally fast:
// what the quickest message of the last seconds took, on the two scales, is the difference of their zeros and the way
// itself; what another one took beyond that is time that the sender of a deadline has lost already.
//
// A sender whose clock stands still for a while, as on a machine that is suspended, seems to send late messages after
// that, until two windows have passed.
type transit struct {
	known         bool
	began         time.Duration // when the window began
	before, least time.Duration // the least that one took, in the window before and in this one
}

// late notes a message and returns by how much it is late. now is on the receiver's scale, sentAt on the sender's.
func (t *transit) late(now time.Duration, sentAt uint64) time.Duration {
	took := now - time.Duration(min(sentAt, 1<<62))
	switch {
	case !t.known:
		*t = transit{known: true, began: now, before: took, least: took}
	case now-t.began > transitWindow:
		t.began, t.before, t.least = now, t.least, took
	default:
		t.least = min(t.least, took)
	}
	return took - min(t.before, t.least)
}
