package echo

import (
	"errors"
	"runtime"
	"sync"

	"github.com/xiaonanln/goverse/bench/peer"
)

var errBroken = errors.New("the connection broke")

// slot is where a caller waits for its reply. The padding keeps callers off each other's cache lines.
type slot struct {
	reply []byte
	done  chan struct{} // one reply at a time; closed when the connection broke
	_     [96]byte
}

// callers are the callers of one connection: they queue frames for its writer, and its reader hands them their replies.
type callers struct {
	stamps *peer.Stamps
	slots  []slot
	wake   chan struct{} // tells the writer that the queue is no longer empty

	mu    sync.Mutex // guards the fields below
	queue *[]byte
}

func newCallers(opt peer.RemoteOptions) *callers {
	c := &callers{stamps: peer.NewStamps(opt.Callers), slots: make([]slot, opt.Callers), wake: make(chan struct{}, 1), queue: new([]byte)}
	for i := range c.slots {
		c.slots[i] = slot{done: make(chan struct{}, 1), reply: make([]byte, 0, opt.Payload)}
	}
	c.stamps.Resize(peer.StampBytes)
	return c
}

// call sends a caller's next payload, waits for the reply and compares it.
func (c *callers) call(caller int) (int64, error) {
	reply, err := c.exchange(caller, c.stamps.Next(caller))
	if err != nil {
		return 0, err
	}
	return c.stamps.Calls(caller), c.stamps.Check(caller, reply)
}

// exchange queues a frame and waits for the reply, which is good until the caller's next one.
func (c *callers) exchange(caller int, payload []byte) ([]byte, error) {
	c.mu.Lock()
	first := len(*c.queue) == 0
	*c.queue = appendFrame(*c.queue, uint64(caller), payload)
	c.mu.Unlock()
	if first {
		c.wake <- struct{}{}
	}
	s := &c.slots[caller]
	if _, ok := <-s.done; !ok {
		return nil, errBroken
	}
	return s.reply, nil
}

// take waits for frames, lets the callers that are ready to run add theirs, and exchanges the queue for an empty buffer.
// It returns nil when stop is closed.
func (c *callers) take(stop <-chan struct{}, empty *[]byte) *[]byte {
	select {
	case <-c.wake:
	case <-stop:
		return nil
	}
	runtime.Gosched()
	c.mu.Lock()
	full := c.queue
	c.queue = empty
	c.mu.Unlock()
	return full
}

// deliver hands the replies to their callers, and returns what is left of in.
func (c *callers) deliver(in []byte) ([]byte, error) {
	for {
		number, payload, rest, whole := cutFrame(in)
		if !whole {
			return in, nil
		}
		if number >= uint64(len(c.slots)) {
			return nil, errFrame
		}
		s := &c.slots[number]
		s.reply = append(s.reply[:0], payload...)
		s.done <- struct{}{}
		in = rest
	}
}

// fail ends all calls, those to come included. The reader calls it when it delivers no more.
func (c *callers) fail() {
	for i := range c.slots {
		close(c.slots[i].done)
	}
}
