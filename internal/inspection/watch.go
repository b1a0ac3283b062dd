package inspection

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

const (
	// MaxStreams bounds the Watch streams at a time. An inspector has one for what it always wants to know, without
	// which the node looks unreachable to it, and more for what its tabs look at.
	MaxStreams = MaxDetailed + 128
	// MaxDetailed bounds those that want detail, calls between objects or an object's turns: they leave room for others.
	MaxDetailed = 64
	// Interval is how often a stream tells what happened: when the clock's time is a multiple of it, so that what the
	// nodes of a cluster tell comes together, and waits for nothing where it is put together.
	Interval = 500 * time.Millisecond
	// UnattendedInterval is the same of a stream that nobody looks at now. What it tells then may be held back besides.
	UnattendedInterval = time.Second
	// MaxHold bounds for how long.
	MaxHold = 10 * time.Second
	// VitalsFor is how long how the node is may be taken for what it is, where nothing has happened: to look at all of it is more than half of
	// what a message costs. It is the longer interval, less what a timer may be early or late by.
	VitalsFor = UnattendedInterval - Interval/5
	// EventDelay is how long an event waits for others at most before it is told.
	EventDelay = 50 * time.Millisecond
	// Patience is how long a stream waits for its receiver to take something, or to say what it wants, before it ends.
	Patience = 10 * time.Second
	// MaxTypes bounds the types that a watcher may name.
	MaxTypes = 1000
	// MaxEventBytes bounds the events of one message, but for the first of them: the rest follow.
	MaxEventBytes = 256 << 10
	// MaxEdges bounds how many edges it may ask for.
	MaxEdges = 5000
)

// watcher is one Watch stream. The goroutine that gRPC gave it waits for its end: what reads and what writes may be
// caught in gRPC until the stream is over, which it is when Watch returns.
type watcher struct {
	service *Service
	stream  grpc.BidiStreamingServer[inspectpb.WatchRequest, inspectpb.WatchResponse]
	wishes  chan *inspectpb.WatchRequest // holds the last that was not looked at
	over    chan struct{}                // closed by end

	detailed bool          // it has one of the details; tell's own
	interval time.Duration // of what a response tells; tell's own
	only     bool          // details are told only; tell's own
	held     held          // tell's own

	ending sync.Once
	err    error // set when over is closed
}

// Watch implements the rpc.
func (s *Service) Watch(stream grpc.BidiStreamingServer[inspectpb.WatchRequest, inspectpb.WatchResponse]) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return toStatus(object.Refuse(object.CodeResourceExhausted, object.Overloaded, "watch", "", "",
			fmt.Sprintf("%d streams watch the node, as many as it allows", MaxStreams)))
	}
	w := &watcher{service: s, stream: stream, wishes: make(chan *inspectpb.WatchRequest, 1), over: make(chan struct{})}
	s.streams.Begin()
	go w.read()
	s.streams.Begin()
	go w.tell()
	select {
	case <-w.over:
	case <-stream.Context().Done():
		w.end(stream.Context().Err())
	}
	<-w.over
	return toStatus(w.err)
}

// end ends the stream; nil is OK.
func (w *watcher) end(err error) {
	w.ending.Do(func() {
		w.err = err
		close(w.over)
	})
}

// rescue, deferred, ends the stream where there was a panic.
func (w *watcher) rescue() {
	if reason := recover(); reason != nil {
		w.end(w.service.crashed(w.stream.Context(), "watch", reason))
	}
}

// read takes in what the watcher wants until it goes.
func (w *watcher) read() {
	defer w.service.streams.End()
	defer w.rescue()
	for {
		req, err := w.stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			w.end(nil)
			return
		case err != nil:
			w.end(err)
			return
		}
		if err := check(req); err != nil {
			w.end(err)
			return
		}
		select {
		case <-w.wishes: // it has changed its mind
		default:
		}
		w.wishes <- req // there is room: nobody else puts
	}
}

// check says what is wrong with a watcher's wish.
func check(req *inspectpb.WatchRequest) error {
	if len(req.GetTypes()) > MaxTypes {
		return object.Refuse(object.CodeInvalidArgument, "", "watch", "", "", fmt.Sprintf("%d types, at most %d are allowed", len(req.GetTypes()), MaxTypes))
	}
	if req.GetFocus() != "" {
		if _, _, err := object.ParseID(req.GetFocus()); err != nil {
			return err
		}
	}
	req.MaxEdges = min(req.GetMaxEdges(), MaxEdges)
	req.HoldNs = min(max(req.GetHoldNs(), 0), int64(MaxHold))
	return nil
}

// tell sends what happens until the stream is over.
func (w *watcher) tell() {
	defer w.service.streams.End()
	defer w.rescue()
	clk := w.service.cfg.Clock
	timer := clk.NewTimer(Patience)
	defer timer.Stop()
	var first *inspectpb.WatchRequest
	select {
	case first = <-w.wishes:
	case <-timer.C:
		w.end(object.Refuse(object.CodeDeadlineExceeded, "", "watch", "", "", "the watcher does not say what it wants"))
		return
	case <-w.over:
		return
	}
	watched := w.service.cfg.Node.Observe()
	defer watched.Close()
	defer w.wantsDetail(false)
	if !w.aim(watched, first) {
		return
	}
	told, last := first.GetSince(), clk.Monotonic()
	seen := last - VitalsFor // when it last looked at how the node is
	for {
		var changed <-chan struct{} // who wants details only is told of no events
		if !w.only {
			changed = w.service.cfg.Journal.Changed()
		}
		res := watched.Collect()
		now := clk.Monotonic()
		res.IntervalNs = int64(now - last)
		last = now
		if !w.only {
			res.Events, told = w.service.events(told)
		}
		if w.held.add(res, now, clk.Now()) {
			if len(res.GetEvents()) > 0 || now-seen >= VitalsFor && !w.only {
				seen = now
				res.Vitals = w.service.vitals(w.interval == UnattendedInterval)
			}
			if !w.sendHeld() {
				return
			}
		}
		timer.Reset(untilNext(clk.Now(), w.interval))
		if !w.rest(watched, timer, changed) {
			return
		}
	}
}

// aim lets the observation be of what the watcher wants. False: there is no room for that, and the stream is over.
func (w *watcher) aim(watched Observation, at *inspectpb.WatchRequest) bool {
	if !w.wantsDetail(at.GetObjects() || at.GetFocus() != "") {
		w.end(object.Refuse(object.CodeResourceExhausted, object.Overloaded, "watch", "", "",
			fmt.Sprintf("%d streams watch objects of the node, as many as it allows", MaxDetailed)))
		return false
	}
	watched.Aim(at)
	w.only = at.GetDetailsOnly()
	w.interval, w.held.most = Interval, 0
	if at.GetUnattended() {
		w.interval, w.held.most = UnattendedInterval, time.Duration(at.GetHoldNs())
	}
	return true
}

// wantsDetail takes or gives back one of the details. False: there is none left.
func (w *watcher) wantsDetail(wants bool) bool {
	switch {
	case wants == w.detailed:
	case !wants:
		<-w.service.details
	default:
		select {
		case w.service.details <- struct{}{}:
		default:
			return false
		}
	}
	w.detailed = wants
	return true
}

// untilNext is how long it is until the stream is to tell something again: the whole of an interval or the rest of the one
// that has begun, unless that is hardly anything.
func untilNext(now time.Time, interval time.Duration) time.Duration {
	d := remaining(now, interval)
	if d < EventDelay {
		d += interval
	}
	return d
}

// remaining is the rest of the interval that has begun.
func remaining(now time.Time, interval time.Duration) time.Duration {
	return now.Truncate(interval).Add(interval).Sub(now)
}

// events are those after the one of that seq, as many as go into a message, and the seq of the last of them.
func (s *Service) events(told uint64) (events []*inspectpb.Event, last uint64) {
	events, last = s.cfg.Journal.Since(told)
	size := 0
	for i, e := range events {
		if size += proto.Size(e); size > MaxEventBytes && i > 0 {
			return events[:i], events[i-1].GetSeq()
		}
	}
	return events, last
}

// rest waits until there is something to tell. False: the stream is over.
func (w *watcher) rest(watched Observation, timer *time.Timer, changed <-chan struct{}) bool {
	soon := false
	for {
		select {
		case <-timer.C:
			return true
		case <-changed:
			changed, soon = nil, true
			timer.Reset(EventDelay) // others may come with it; less than it would have waited, or hardly more
		case req := <-w.wishes:
			before := w.interval
			if !w.aim(watched, req) {
				return false
			}
			if w.interval < before && !soon { // else it tells something at once anyway
				timer.Reset(remaining(w.service.cfg.Clock.Now(), w.interval))
			}
		case <-w.over:
			return false
		}
	}
}

// sendHeld sends what was held back.
func (w *watcher) sendHeld() bool {
	for res := range w.held.all(w.service.cfg.Clock.Monotonic) {
		if !w.send(res) {
			return false
		}
	}
	return true
}

// send sends a message. A receiver that takes none for long ends the stream.
func (w *watcher) send(res *inspectpb.WatchResponse) bool {
	stalled := w.service.cfg.Clock.AfterFunc(Patience, func() {
		w.end(object.Refuse(object.CodeResourceExhausted, "", "watch", "", "", "the watcher does not read"))
	})
	defer stalled.Stop()
	if err := w.stream.Send(res); err != nil {
		w.end(err)
		return false
	}
	return true
}
