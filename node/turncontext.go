package node

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/ends"
)

// errTurnEnded is the cause of a turn's context after the turn.
var errTurnEnded = errors.New("the turn has ended")

// lifetime is the cancellable part of a turn's context, made when it is first
// asked for: most methods never look at Done.
type lifetime struct {
	ctx    context.Context //nolint:containedctx // it is the implementation of a context
	cancel context.CancelCauseFunc
	stop   func() // releases the deadline and the link to the node
}

// limit gives the turn a deadline of its own where it and its caller have none: timeout from
// the first time that somebody looks at it, which saves most calls from reading the
// clock. Zero is the node's call timeout; negative is none.
func (t *turn) limit(timeout time.Duration) {
	if timeout == 0 {
		timeout = t.node().cfg.CallTimeout
	}
	if timeout > 0 && t.deadline == 0 && !t.parentHasDeadline() {
		t.deadline = -int64(min(timeout, never)) // nobody else has the turn yet
	}
}

func (t *turn) parentHasDeadline() bool {
	if p, ok := t.parent.(*turn); ok {
		return atomic.LoadInt64(&p.deadline) != 0 || p.parentHasDeadline()
	}
	_, has := t.parent.Deadline()
	return has
}

// due returns the turn's own deadline, as time since the node was made, and sets the
// clock going if nobody looked before; zero for none. It is negative inside: the
// timeout, while the clock does not run.
func (t *turn) due() time.Duration {
	d := atomic.LoadInt64(&t.deadline)
	if d >= 0 {
		return time.Duration(d)
	}
	atomic.CompareAndSwapInt64(&t.deadline, d, int64(t.node().elapsed())-d)
	return time.Duration(atomic.LoadInt64(&t.deadline))
}

// clockIn is due, and what the time is.
func (t *turn) clockIn() (due, now time.Duration) {
	if timeout := -atomic.LoadInt64(&t.deadline); timeout > 0 { // one look at the clock is enough
		due = t.due()
		return due, due - time.Duration(timeout)
	}
	return t.due(), t.node().elapsed()
}

// Deadline implements [context.Context].
func (t *turn) Deadline() (time.Time, bool) {
	if d := t.due(); d > 0 {
		return t.node().base.Add(d), true
	}
	return t.parent.Deadline()
}

// Done implements [context.Context].
func (t *turn) Done() <-chan struct{} { return t.lifetime().ctx.Done() }

// Err implements [context.Context].
func (t *turn) Err() error {
	if l := t.begun(); l != nil {
		return l.ctx.Err()
	}
	switch {
	case t.ended.Load():
		return context.Canceled
	case t.node().interrupted():
		return t.lifetime().ctx.Err() // from now on it stays so, also when the node is resumed
	}
	if err := t.parent.Err(); err != nil {
		return err
	}
	if d := t.due(); d > 0 && t.node().elapsed() >= d {
		return t.lifetime().ctx.Err() // from now on it stays so
	}
	return nil
}

// late reports that the turn, which has not begun, must not any more. It does not set its
// clock going.
func (t *turn) late() error {
	if err := t.parentErr(); err != nil {
		return err
	}
	if d := atomic.LoadInt64(&t.deadline); d > 0 && int64(t.node().elapsed()) >= d {
		return context.DeadlineExceeded
	}
	return nil
}

// parentErr is the parent's Err, without setting its clock going.
func (t *turn) parentErr() error {
	p, ok := t.parent.(*turn)
	if !ok || p.begun() != nil || atomic.LoadInt64(&p.deadline) > 0 {
		return t.parent.Err()
	}
	if p.ended.Load() || p.node().interrupted() {
		return context.Canceled
	}
	return p.parentErr()
}

// Value implements [context.Context]. Only what the runtime carries is visible: a
// caller's own values would be there on one node and gone on two. Of those it carries
// the trace's span.
func (t *turn) Value(key any) any {
	switch key {
	case object.RuntimeKey:
		return t.node().cfg.Runtime
	case object.CallKey:
		return t
	}
	if key == t.node().spanKey {
		return t.parent.Value(key)
	}
	if l := t.begun(); l != nil {
		return l.ctx.Value(key) // what package context looks for: the cause, and how to follow without a goroutine
	}
	return nil
}

// AfterFunc lets [context.AfterFunc] and derived contexts follow the turn without
// a goroutine of their own.
func (t *turn) AfterFunc(f func()) func() bool { return context.AfterFunc(t.lifetime().ctx, f) }

// begun returns the cancellable part if there is one.
func (t *turn) begun() *lifetime {
	if r := t.rare.Load(); r != nil {
		return r.life.Load()
	}
	return nil
}

func (t *turn) lifetime() *lifetime {
	if l := t.begun(); l != nil {
		return l
	}
	l := t.newLifetime()
	if t.ended.Load() { // before anybody sees it: who has seen the end must not see it undone
		l.cancel(errTurnEnded)
	}
	if !t.extra().life.CompareAndSwap(nil, l) {
		l.cancel(errTurnEnded)
		l.stop()
		return t.begun()
	}
	if t.ended.Load() {
		t.endLifetime()
	}
	return l
}

func (t *turn) newLifetime() *lifetime {
	ctx, cancel := context.WithCancelCause(withoutValues{t.parent})
	era := t.node().era.Load().ctx
	unlink := context.AfterFunc(era, func() { cancel(context.Cause(era)) })
	stop := func() { unlink() }
	if d := t.due(); d > 0 {
		timed, release := context.WithDeadline(ctx, t.node().base.Add(d))
		ctx, stop = timed, func() { unlink(); release() }
	}
	if era.Err() != nil { // AfterFunc may take its time
		cancel(context.Cause(era))
	}
	return &lifetime{ctx: ctx, cancel: cancel, stop: stop}
}

func (t *turn) endLifetime() {
	r := t.rare.Load()
	if r == nil {
		return
	}
	if l := r.life.Load(); l != nil {
		l.cancel(errTurnEnded)
		l.stop()
	}
	if j := r.joint.Load(); j != nil {
		j.Close()
	}
}

// Follow implements [ends.Source]: who waits for a call to another node, as most turns do that
// wait for anything, needs no lifetime for that.
func (t *turn) Follow(f *ends.Follower) bool {
	if t.begun() != nil {
		return false // it is there already
	}
	j := t.joint()
	return j != nil && j.Follow(f)
}

// joint ends with the turn, its parent and its era, whatever comes first; nil where its parent
// can only be followed by its Done.
func (t *turn) joint() *ends.Joint {
	r := t.extra()
	if j := r.joint.Load(); j != nil {
		return j
	}
	j := r.newJoint()
	if !t.followParent(&j.Up[0]) || !t.node().era.Load().follow(&j.Up[1]) {
		j.Close()
		return nil
	}
	if !r.joint.CompareAndSwap(nil, j) {
		j.Close()
		return r.joint.Load()
	}
	if t.ended.Load() { // before anybody knew of it
		j.Close()
	}
	return j
}

func (t *turn) followParent(f *ends.Follower) bool {
	p := t.parent
	if g, ok := p.(*guest); ok {
		p = g.Context
	}
	if s, ok := p.(ends.Source); ok {
		return s.Follow(f)
	}
	return p == t.node().killed || p.Done() == nil // the era ends with the node
}

// finish ends the turn's context.
func (t *turn) finish() {
	t.ended.Store(true)
	t.endLifetime()
}

// withoutValues is a context without its values.
type withoutValues struct{ context.Context } //nolint:containedctx // a context wrapper

func (withoutValues) Value(any) any { return nil }

// AfterFunc keeps the efficient way to follow the wrapped context.
func (w withoutValues) AfterFunc(f func()) func() bool { return context.AfterFunc(w.Context, f) }

// callerTurn returns the turn on whose behalf ctx is, if it is a turn of this node.
func (n *Node) callerTurn(ctx context.Context) *turn {
	t, ok := ctx.(*turn)
	if !ok {
		t, _ = object.CallFrom(ctx).(*turn)
	}
	if t == nil || t.node() != n {
		return nil
	}
	return t
}
