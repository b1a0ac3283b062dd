package grpc

import (
	"context"
	"errors"

	"github.com/xiaonanln/goverse/internal/transport"
)

const (
	// batchBytes is how large a message with many frames may become.
	batchBytes = 64 << 10
	// alone is how large a frame must be to travel alone; it is encoded where nobody waits for it.
	alone = 16 << 10
)

// segment is frames that travel as one message.
type segment struct {
	number uint64
	buffer *[]byte // of a prefix and the frames
	live   int     // frames that were not withdrawn
	full   bool    // it does not grow
}

// errNotNow says that something has to be waited for.
var errNotNow = errors.New("not without waiting")

// ask is what somebody wants to queue.
type ask struct {
	call   bool   // somebody waits for a reply
	large  bool   // it goes by the lane
	object string // whose call it is; empty: it is none
}

// byLaneLocked says whether a frame goes by the lane.
func (d *duplex) byLaneLocked(a ask) bool {
	return a.large || len(d.lane.frames) > 0 && a.object != "" && d.lane.holds(a.object)
}

// rooms is what those wait for who want to queue: each is closed when there is some again; nil: nobody waits.
type rooms struct {
	queue chan struct{} // it has been full, and is not half empty yet
	lane  chan struct{} // likewise, or a large frame is to leave first
	calls chan struct{} // too many are under way
}

// open lets those go on who wait for a room.
func open(room *chan struct{}) {
	if *room != nil {
		close(*room)
		*room = nil
	}
}

// fullLocked is the room that a frame has to wait for; nil: none. Where others wait already it waits with them: they are
// let in many at a time, as to wake all of a crowd for every message costs more than the calls do.
func (d *duplex) fullLocked(a ask, waited bool) *chan struct{} {
	queued, room := d.queued, &d.room.queue
	if d.byLaneLocked(a) {
		queued, room = d.lane.bytes, &d.room.lane
	}
	switch {
	case a.call && d.flights >= d.bounds.calls:
		return &d.room.calls
	case queued >= d.bounds.queue, !waited && *room != nil:
		return room
	}
	return nil
}

// admit waits for room for a frame, and for one more call if that is one, and returns with d.mu held unless there is an
// error: why the connection broke, what ended ctx, or errNotNow where ctx is nil.
func (d *duplex) admit(ctx context.Context, a ask) error {
	for waited := false; ; waited = true {
		d.mu.Lock()
		if d.why != nil {
			d.mu.Unlock()
			return d.why
		}
		full := d.fullLocked(a, waited)
		if full == nil {
			return nil
		}
		if ctx == nil {
			d.mu.Unlock()
			return errNotNow
		}
		if err := d.waitUnlocks(ctx, full); err != nil {
			return err
		}
	}
}

// waitUnlocks gives up the mutex, and waits until a room is open or the connection has broken.
func (d *duplex) waitUnlocks(ctx context.Context, full *chan struct{}) error {
	if *full == nil {
		*full = make(chan struct{})
	}
	room := *full
	d.mu.Unlock()
	select {
	case <-room:
	case <-d.broken:
	case <-ctx.Done():
		return transport.Ended(ctx)
	}
	return nil
}

// growLocked returns the segment for one more frame, to be committed when it is there.
func (d *duplex) growLocked() *segment {
	if n := len(d.queue); n > 0 && !d.queue[n-1].full {
		return d.queue[n-1]
	}
	return d.addLocked(d.fresh())
}

// fresh is an empty buffer with a prefix.
func (d *duplex) fresh() *[]byte { return d.buffers.Get(prefixBytes) }

// addLocked queues a new segment.
func (d *duplex) addLocked(buffer *[]byte) *segment {
	d.made++
	s := &segment{number: d.made, buffer: buffer}
	d.queue = append(d.queue, s)
	d.queued += len(*buffer)
	return s
}

// committedLocked notes a frame that was appended to a segment of that many bytes.
func (d *duplex) committedLocked(s *segment, before int) {
	s.live++
	s.full = s.full || len(*s.buffer) >= batchBytes
	d.queued += len(*s.buffer) - before
	if d.frames++; s.full {
		d.frames = max(d.frames, crowd)
	}
	d.queuedLocked()
}

// sayLocked gives numbers to names in a segment.
func (d *duplex) sayLocked(s *segment, names ...string) {
	before := len(*s.buffer)
	b, added := d.said.learn(*s.buffer, names...)
	*s.buffer = b
	s.live += added
	d.queued += len(b) - before
}

// bulkLocked queues a frame in the lane, of a call of an object or of nobody's.
func (d *duplex) bulkLocked(frame []byte, object string) *bulk {
	b := d.lane.add(frame, object, d.made)
	d.queuedLocked()
	return b
}

// frameLocked queues a frame, whether there is room or not.
func (d *duplex) frameLocked(add func([]byte) []byte) {
	s := d.growLocked()
	before := len(*s.buffer)
	*s.buffer = add(*s.buffer)
	d.committedLocked(s, before)
}

// withdrawLocked takes a frame, which begins at an offset, out of a segment that was not handed over.
func (d *duplex) withdrawLocked(s *segment, at int) {
	(*s.buffer)[at] = byte(kindVoid)
	s.live--
}

// write is the writer: it sends what has queued until the connection breaks. It returns why that ended.
func (d *duplex) write(to stream) error {
	var p packet // of all messages: gRPC has encoded it when it returns
	for {
		if p.out = d.next(); p.out == nil {
			return d.why // does not change any more
		}
		if err := to.SendMsg(&p); err != nil {
			return err
		}
	}
}

// next waits until something leaves and takes a message of it; nil if the connection has broken.
func (d *duplex) next() *[]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for d.why == nil && !d.leaving {
			d.work.Wait()
		}
		if d.why != nil {
			return nil
		}
		out := d.takeLocked()
		if d.leaving = !d.emptyLocked(); !d.leaving {
			d.frames = 0
		}
		if out != nil {
			d.spoken.Store(true)
			return out
		}
	}
}

// controlsLocked says whether a ping or a pong is to be sent.
func (d *duplex) controlsLocked() bool { return d.ping || d.pong != 0 }

// takeLocked takes the first segment, or the next part of a large frame, which leaves now; nil if the segment was
// withdrawn.
func (d *duplex) takeLocked() *[]byte {
	if l := &d.lane; len(l.frames) > 0 && (len(d.queue) == 0 || l.waits && d.handed >= l.frames[0].after) {
		l.waits = false
		return d.takePartLocked()
	}
	d.lane.waits = true
	if len(d.queue) == 0 {
		d.addLocked(d.fresh())
	}
	s := d.queue[0]
	d.queue[0] = nil
	if len(d.queue) == 1 {
		d.queue = d.queue[:0] // the place is used again
	} else {
		d.queue = d.queue[1:]
	}
	d.queued -= len(*s.buffer)
	d.handed = s.number
	if d.queued < d.bounds.queue/2 || len(d.queue) == 0 {
		open(&d.room.queue)
	}
	if d.controlsDueLocked() {
		*s.buffer = d.appendControlsLocked(*s.buffer)
		s.live++
	}
	if s.live == 0 {
		d.buffers.Put(s.buffer)
		return nil
	}
	out := s.buffer
	s.buffer = nil
	fillPrefix(*out, uint64(max(d.now(), 0)))
	return out
}

// takePartLocked takes the next part of a large frame.
func (d *duplex) takePartLocked() *[]byte {
	out := d.fresh()
	var last bool
	if *out, last = d.lane.part(*out, d.handed); last {
		open(&d.room.lane)
		if d.controlsDueLocked() {
			*out = d.appendControlsLocked(*out)
		}
	}
	fillPrefix(*out, uint64(max(d.now(), 0)))
	return out
}

// controlsDueLocked says whether a ping or a pong goes with the message that leaves now.
func (d *duplex) controlsDueLocked() bool {
	return d.controlsLocked() && d.handed >= d.due && d.lane.gone >= d.dueLane
}

func (d *duplex) appendControlsLocked(b []byte) []byte {
	if d.ping {
		b = appendNumbered(b, kindPing, d.pinged)
	}
	if d.pong != 0 {
		b = appendNumbered(b, kindPong, d.pong)
	}
	d.ping, d.pong = false, 0
	return b
}
