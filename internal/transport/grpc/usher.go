package grpc

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A message costs both sides as much as ten calls do: two system calls, half a dozen switches between goroutines, a
// processor that is woken. So frames wait for company, as long as others run that are about to have some. But where all
// calls of a connection travel together, one side has nothing to do while the other works: so a message leaves when it
// has crowd frames, and the calls of one that has come begin to run when handful of them have been accepted.
const (
	crowd   = 32
	handful = 16
	// patience is for how long frames wait for those who are expected, where there are processors to run them.
	patience = 100 * time.Microsecond
)

// departure decides when what has queued leaves: at once if it is a crowd. Else the usher, a goroutine of its own, yields
// once, so that all who run before it add their frames first. Those who are expected are waited for as well: callers who
// have been woken and calls that have been handed to the crew, until they run. It is guarded by the connection's mutex.
type departure struct {
	work    sync.Cond // the writer waits for leaving
	calls   sync.Cond // the usher waits for called
	leaving bool      // what has queued leaves now
	called  bool      // the usher is to look, or is about to
	frames  int       // that have been queued since the last message left

	expected atomic.Int64 // how many will run soon; not guarded
	held     atomic.Int64 // since when frames wait for them, on the scale of sent_at; 0: none does. Set with the mutex held
}

// queuedLocked is told that there is something to send.
func (d *duplex) queuedLocked() {
	switch {
	case d.leaving:
	case d.frames >= crowd:
		d.sendOffLocked()
	case !d.called && d.held.Load() == 0:
		d.callUsherLocked()
	}
}

func (d *duplex) callUsherLocked() {
	d.called = true
	d.calls.Signal()
}

// sendOffLocked has the writer send what has queued.
func (d *duplex) sendOffLocked() {
	d.held.Store(0)
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
	if d.expected.Load() <= 0 {
		return false
	}
	switch since, now := time.Duration(d.held.Load()), max(d.now(), 1); {
	case since == 0:
		d.held.Store(int64(now))
	case now-since >= patience:
		return false
	}
	return d.expected.Load() > 0 // the last of them may have looked before there was something to be seen
}

// expect is told that so many will run soon. Each of them calls came when it does.
func (d *duplex) expect(n int) { d.expected.Add(int64(n)) }

// came is called by one who was expected: the last one, and one who comes late, do not let others wait any longer.
func (d *duplex) came() {
	left := d.expected.Add(-1)
	since := time.Duration(d.held.Load())
	if since == 0 {
		return
	}
	late := d.now()-since >= patience
	if left > 0 && !late {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.held.Load() == 0 || d.leaving || d.called:
	case late:
		d.sendOffLocked()
	default: // it has nothing to send yet, but is about to
		d.callUsherLocked()
	}
}

// emptyLocked says whether there is nothing to send.
func (d *duplex) emptyLocked() bool {
	return len(d.queue) == 0 && len(d.lane.frames) == 0 && !d.controlsLocked()
}
