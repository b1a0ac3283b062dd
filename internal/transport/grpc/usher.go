package grpc

import (
	"runtime"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/util/company"
)

// Frames wait for company, as long as others run that are about to have some. But where all calls of a connection travel
// together, one side has nothing to do while the other works: so a message leaves when it has crowd frames, and the calls
// of one that has come begin to run when handful of them have been accepted.
const (
	crowd   = company.Crowd
	handful = 16
)

// departure decides when what has queued leaves: at once if it is a crowd. Else the usher, a goroutine of its own, yields
// once, so that all who run before it add their frames first. Those who are expected are waited for as well, on this
// connection and others: callers who have been woken and calls that have been handed to the crew, until they run. It is
// guarded by the connection's mutex.
type departure struct {
	work    sync.Cond     // the writer waits for leaving
	calls   sync.Cond     // the usher waits for called
	leaving bool          // what has queued leaves now
	called  bool          // the usher is to look, or is about to
	frames  int32         // that have been queued since the last message left
	held    time.Duration // since when they wait for those who are expected, on the scale of sent_at; 0: they do not
}

// queuedLocked is told that there is something to send.
func (d *duplex) queuedLocked() {
	switch {
	case d.leaving:
	case d.frames >= crowd:
		d.sendOffLocked()
	case !d.called && d.held == 0:
		d.callUsherLocked()
	}
}

func (d *duplex) callUsherLocked() {
	d.called = true
	d.calls.Signal()
}

// sendOffLocked has the writer send what has queued.
func (d *duplex) sendOffLocked() {
	d.held = 0
	d.leaving = true
	d.work.Signal()
}

// usher sends off what has queued, when nobody is about to add to it, until the connection breaks.
func (d *duplex) usher() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for d.why == nil && !d.called {
			d.calls.Wait()
		}
		if d.why != nil {
			return
		}
		d.mu.Unlock()
		runtime.Gosched()
		d.mu.Lock()
		d.called = false
		if !d.leaving && !d.emptyLocked() && !d.holdLocked() {
			d.sendOffLocked()
		}
	}
}

// holdLocked lets what has queued wait for those who are expected; false: there is nobody, or it has waited for long.
func (d *duplex) holdLocked() bool {
	if d.company.Expected() <= 0 {
		return false
	}
	switch now := max(d.now(), 1); {
	case d.held == 0:
		d.held = now
	case now-d.held >= company.Patience:
		return false
	}
	return d.company.Wait(d)
}

// Look implements [company.Sender].
func (d *duplex) Look(late bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.held == 0 || d.leaving || d.called:
	case late:
		d.sendOffLocked()
	default: // there is nothing more to send yet, but is about to be
		d.callUsherLocked()
	}
}

// emptyLocked says whether there is nothing to send.
func (d *duplex) emptyLocked() bool {
	return len(d.queue) == 0 && len(d.lane.frames) == 0 && !d.controlsLocked()
}
