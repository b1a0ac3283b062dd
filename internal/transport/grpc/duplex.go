package grpc

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
)

// stream is a gRPC stream, of either side.
type stream interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// duplex is what the two sides of a connection have in common: the queue of frames, its usher and its writer, pings, and that it
// breaks once.
type duplex struct {
	departure // guarded by mu

	clock   clock.Clock
	company *company.Company
	begun   time.Time     // the zero of sent_at on this side
	zero    time.Duration // the same on the clock's monotonic scale
	buffers *buffers
	bounds  bounds
	broken  chan struct{} // closed when the connection has broken
	heard   atomic.Bool   // something has come in since the last beat
	spoken  atomic.Bool   // something has gone out since then
	taken   atomic.Uint64 // how many frames, and parts of frames, have come in
	busy    atomic.Bool   // the reader does not listen for reasons of its own
	blocked atomic.Bool   // the reader waits for room for a refusal
	quiet   int           // beats without; the watch's own
	known   names         // the reader's: what the peer has named
	partial []byte        // the reader's: the parts of a large frame that have come

	mu      sync.Mutex // guards the fields below
	why     error      // it broke; nil while it holds
	said    vocabulary // what this side has named
	queue   []*segment // the last one may grow
	queued  int        // bytes in queue
	made    uint64     // the number of the last segment
	handed  uint64     // the number of the last segment that was handed to gRPC
	lane    lane       // of large frames
	flights int        // calls that wait for a reply; 0 on the side that is called
	room    rooms
	pinged  uint64        // the number of the last ping
	ping    bool          // a ping is to be sent
	pong    uint64        // to be sent; 0: none
	due     uint64        // the segment after whose frames ping and pong go, or a later one
	dueLane uint64        // … and the large frame
	acked   uint64        // the number of the last pong
	answers chan struct{} // closed when a pong comes; nil: nobody waits
}

// bounds of a connection.
type bounds struct{ queue, calls int }

func (d *duplex) init(t *Transport) {
	d.company, d.clock, d.buffers, d.bounds = t.cfg.Company, t.cfg.Clock, &t.buffers, t.bounds()
	d.begun, d.zero = d.clock.Now(), d.clock.Monotonic()
	d.broken, d.said = make(chan struct{}), vocabulary{}
	d.work.L, d.calls.L = &d.mu, &d.mu
}

// now is the time on the scale of sent_at. Callers ask for it often, and to read the time of day too costs as much again.
func (d *duplex) now() time.Duration { return d.clock.Monotonic() - d.zero }

// breakLocked breaks the connection; false if it has broken before.
func (d *duplex) breakLocked(why error) bool {
	if d.why != nil {
		return false
	}
	d.why = why
	close(d.broken)
	d.work.Broadcast()
	d.calls.Broadcast()
	return true
}

// beat is one of the watch's steps. It is false if the peer was silent for too many of them.
func (d *duplex) beat() bool {
	heard, spoken := d.heard.Swap(false), d.spoken.Swap(false)
	switch {
	case heard, d.busy.Load(), d.blocked.Load() && spoken: // who is busy, or waits for room that there will be, reads no pongs
		d.quiet = 0
	default:
		d.quiet++
	}
	if d.quiet >= beats {
		return false
	}
	if !heard || !spoken { // the peer's pings may be held up by what it sends: it must hear something all the same
		d.sendPing()
	}
	return true
}

// sendPing asks for a pong. It returns its number.
func (d *duplex) sendPing() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pinged++
	d.ping, d.due, d.dueLane = true, d.made, d.lane.made
	d.queuedLocked()
	return d.pinged
}

// sendGoodbye tells the peer to make no more calls.
func (d *duplex) sendGoodbye() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frameLocked(func(b []byte) []byte { return endFrame(beginFrame(b, kindGoodbye), len(b)) })
}

// control takes in a frame that goes both ways. An error breaks the connection.
func (d *duplex) control(k kind, payload []byte) error {
	switch k {
	case kindVoid:
		return nil
	case kindName:
		return d.known.learn(payload)
	case kindPing, kindPong:
	default:
		return garbage(fmt.Sprintf("a frame of kind %d", k))
	}
	number, err := readNumber(payload)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if k == kindPing {
		d.pong, d.due, d.dueLane = number, d.made, d.lane.made
		d.queuedLocked()
		return nil
	}
	if number > d.pinged {
		return garbage("a pong without a ping")
	}
	d.acked = max(d.acked, number)
	if d.answers != nil {
		close(d.answers)
		d.answers = nil
	}
	return nil
}

// awaitPong waits until all that was sent before a ping has arrived, or cannot any more. It returns the cause of ctx's
// end.
func (d *duplex) awaitPong(ctx context.Context, number uint64) error {
	for {
		d.mu.Lock()
		if d.acked >= number || d.why != nil {
			d.mu.Unlock()
			return nil //nolint:nilerr // nothing arrives any more over a broken connection
		}
		if d.answers == nil {
			d.answers = make(chan struct{})
		}
		answers := d.answers
		d.mu.Unlock()
		select {
		case <-answers:
		case <-d.broken:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// receive has the frames of each message taken, and then done called, as long as the message is there, until there is an
// error.
func (d *duplex) receive(from stream, take func(sentAt uint64, k kind, payload []byte) error, done func() error) error {
	var p packet // of all messages
	for {
		if err := from.RecvMsg(&p); err != nil {
			return err
		}
		d.heard.Store(true)
		err := p.parse()
		if err == nil {
			err = d.each(&p, take)
		}
		if err == nil {
			err = done()
		}
		p.free()
		if err != nil {
			return err
		}
	}
}

// each hands over the frames of one message.
func (d *duplex) each(p *packet, take func(sentAt uint64, k kind, payload []byte) error) error {
	for rest := p.frames; len(rest) > 0; {
		k, payload, after, err := nextFrame(rest)
		if err != nil {
			return err
		}
		if k == kindPart || k == kindLast {
			err = d.assemble(p.sentAt, k, payload, take)
		} else {
			err = take(p.sentAt, k, payload)
		}
		if err != nil {
			return err
		}
		rest = after
	}
	return nil
}

// assemble takes in a part of a large frame, and hands over the frame with the last one.
func (d *duplex) assemble(sentAt uint64, k kind, part []byte, take func(sentAt uint64, k kind, payload []byte) error) error {
	if len(d.partial)+len(part) > maxFrame+headBytes {
		return garbage("a frame in parts that is too large")
	}
	d.partial = append(d.partial, part...)
	d.taken.Add(1)
	if k == kindPart {
		return nil
	}
	whole := d.partial
	d.partial = nil
	k, payload, rest, err := nextFrame(whole)
	if err != nil {
		return err
	}
	if len(rest) > 0 || k != kindVoid && k != kindCall && k != kindReply && k != kindCancel {
		return garbage("parts that are not one frame")
	}
	return take(sentAt, k, payload)
}
