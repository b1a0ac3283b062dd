package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// The model test lets random operations run on a few objects in virtual time and
// checks what came of them against rules that need no knowledge of the runtime:
//
//   - who may run beside whom (watched by the objects),
//   - what the answer to an operation says about whether it ran,
//   - which errors an operation may get at all,
//   - calls begin in the order of their arrival,
//   - activations of one object follow each other, each with a beginning and an end,
//   - none ends before its idle time, and all end after it.
const modelIdle = time.Second

// op is one operation. Times are in virtual milliseconds.
type op struct {
	At     int
	Kind   string // call, send, create, delete
	ID     string
	Method string
	Takes  int
	Heeds  bool   // its context, while it takes its time
	Ends   string // return, fail, panic
	Cancel int    // after so long; 0: not
	Child  *op    // a call that it makes
}

func (o *op) String() string {
	s := fmt.Sprintf("%d ms: %s %s.%s takes %d heeds %v ends %s cancel %d", o.At, o.Kind, o.ID, o.Method, o.Takes, o.Heeds, o.Ends, o.Cancel)
	if o.Child != nil {
		s += " {" + o.Child.String() + "}"
	}
	return s
}

// drawOp draws an operation; chain is the calls that lead to it. Crosswise is whether two
// chains may come to wait for each other, see knots.
func drawOp(t *rapid.T, crosswise bool, chain []*op) *op {
	o := &op{
		Kind:   "call",
		Takes:  rapid.IntRange(0, 60).Draw(t, "takes"),
		Heeds:  rapid.Bool().Draw(t, "heeds"),
		Ends:   rapid.SampledFrom([]string{"return", "return", "return", "return", "fail", "panic"}).Draw(t, "ends"),
		Method: rapid.SampledFrom([]string{"Write", "Write", "Read", "Read", "Free", "Loose"}).Draw(t, "method"),
	}
	ids := []string{"Model-0", "Model-1", "ModelLoop-2"}
	if len(chain) == 0 {
		latest := 4000
		if crosswise {
			latest = 200 // that they meet
		}
		o.At = rapid.IntRange(0, latest).Draw(t, "at")
		o.Kind = rapid.SampledFrom([]string{"call", "call", "call", "call", "send", "create", "delete"}).Draw(t, "kind")
		o.Cancel = max(0, rapid.IntRange(-100, 100).Draw(t, "cancel"))
	} else if !crosswise {
		// Only up the list from the highest object of the chain, or to objects that the chain
		// holds: two chains never wait for each other, which only their deadlines would end.
		caller, top := chain[len(chain)-1], 0
		back := []string{caller.ID}
		for _, c := range chain {
			top = max(top, slices.Index(ids, c.ID))
			if c.Method != "Free" {
				back = append(back, c.ID)
			}
		}
		ids = append(append([]string{}, ids[top+1:]...), back...)
	}
	o.ID = rapid.SampledFrom(ids).Draw(t, "id")
	if len(chain) < 3 && rapid.Bool().Draw(t, "has child") {
		o.Child = drawOp(t, crosswise, append(chain, o))
	}
	return o
}

// loops counts the calls of re-entrant objects among o and its children.
func (o *op) loops() (n int) {
	for ; o != nil; o = o.Child {
		if strings.HasPrefix(o.ID, "ModelLoop") {
			n++
		}
	}
	return n
}

// outcome is what became of an operation.
type outcome struct {
	op      *op
	chain   []*outcome // that led to it
	arrived time.Time
	begun   time.Time
	ended   time.Time // its last run
	ran     int
	serial  int
	err     error
	over    bool
	told    time.Time // when it was over
}

// scenario is one run of the model test.
type scenario struct {
	w        *world
	mu       sync.Mutex
	outcomes []*outcome
	up       map[string]int // activations of each ID
	isUp     map[string]bool
	lastEnd  map[string]time.Time
	problems []string
	expired  int // operations that ended in a knot, see knotted
}

func (s *scenario) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// arrive makes a record for an operation about to be sent.
func (s *scenario) arrive(o *op, chain []*outcome) (out *outcome, req string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out = &outcome{op: o, chain: chain, arrived: time.Now()}
	s.outcomes = append(s.outcomes, out)
	return out, fmt.Sprintf("op %d", len(s.outcomes)-1)
}

// call carries an operation's call out and records its answer.
func (s *scenario) call(ctx context.Context, o *op, chain []*outcome, opts ...object.CallOption) {
	out, req := s.arrive(o, chain)
	_, err := s.w.Call(ctx, o.ID, o.Method, wrapperspb.String(req), opts...)
	s.answered(out, err)
}

func (s *scenario) answered(out *outcome, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out.err, out.over, out.told = err, true, time.Now()
}

// act is what the objects do.
func (s *scenario) act(ctx context.Context, o *actor, arg string) (string, error) {
	i, err := strconv.Atoi(arg)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	out := s.outcomes[i]
	mine := out
	out.ran++
	out.begun, out.serial = time.Now(), o.serial
	if !s.isUp[o.ID()] || s.up[o.ID()] != o.serial {
		s.problem("%v ran on activation %d while %d was the last, up: %v", out.op, o.serial, s.up[o.ID()], s.isUp[o.ID()])
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		mine.ended = time.Now()
		s.lastEnd[o.ID()] = mine.ended
	}()
	half := time.Duration(out.op.Takes) * time.Millisecond / 2
	for range 2 {
		if out.op.Heeds {
			sleepIn(ctx, half)
		} else {
			<-time.After(half)
		}
		if out.op.Heeds && ctx.Err() != nil {
			return "", ctx.Err()
		}
		if child := out.op.Child; child != nil && half >= 0 {
			s.call(ctx, child, append(append([]*outcome{}, out.chain...), out))
			half = max(half, 1)
			out = &outcome{op: &op{Takes: out.op.Takes, Heeds: out.op.Heeds, Ends: out.op.Ends}} // the child once
		}
	}
	switch out.op.Ends {
	case "fail":
		return "", object.NewError(object.CodeAborted, "as it should")
	case "panic":
		panic("as it should")
	}
	return "", nil
}

func (s *scenario) activate(ctx context.Context, o *actor, _ string) (string, error) {
	sleepIn(ctx, 5*time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isUp[o.ID()] {
		s.problem("%s came up twice", o.ID())
	}
	s.up[o.ID()]++
	s.isUp[o.ID()] = true
	s.lastEnd[o.ID()] = time.Now()
	o.serial = s.up[o.ID()]
	return "", nil
}

func (s *scenario) deactivate(ctx context.Context, o *actor, reason string) (string, error) {
	s.mu.Lock()
	if idle := time.Since(s.lastEnd[o.ID()]); reason == "idle" && idle < modelIdle {
		s.problem("%s was let go after %v", o.ID(), idle)
	}
	s.mu.Unlock()
	sleepIn(ctx, 5*time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isUp[o.ID()] || o.serial != s.up[o.ID()] {
		s.problem("%s ended twice", o.ID())
	}
	s.isUp[o.ID()] = false
	return "", nil
}

// launch carries out an operation of the list.
func (s *scenario) launch(o *op) {
	<-time.After(time.Duration(o.At) * time.Millisecond)
	ctx, cancel := context.WithCancel(s.w.t.Context())
	defer cancel()
	if o.Cancel > 0 {
		time.AfterFunc(time.Duration(o.Cancel)*time.Millisecond, cancel)
	}
	var chain object.CallOption
	if o.loops() > 1 { // else the watch is strict: nothing re-enters
		chain = object.WithMetadata("chain", fmt.Sprintf("%p", o))
	}
	switch o.Kind {
	case "send":
		out, req := s.arrive(o, nil)
		_, err := s.w.Call(ctx, o.ID, o.Method, wrapperspb.String(req), object.OneWay(), chain)
		if err != nil {
			s.answered(out, err)
		}
	case "create":
		out, _ := s.arrive(o, nil)
		typ, _, _ := strings.Cut(o.ID, "-")
		_, err := s.w.Create(ctx, typ, o.ID, nil)
		s.answered(out, err)
	case "delete":
		out, _ := s.arrive(o, nil)
		s.answered(out, s.w.Delete(ctx, o.ID))
	default:
		s.call(ctx, o, nil, chain)
	}
}

// runScenario carries operations out and returns what was wrong, and how many of them ended
// because two chains waited for each other.
func runScenario(t *testing.T, ops []*op) (problems []string, expired int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, clock.Virtual(),
			typed((*hooked)(nil), "Model", object.IdleTimeout(modelIdle)),
			typed((*hooked)(nil), "ModelLoop", object.IdleTimeout(modelIdle), object.Reentrant()))
		defer w.sweep()()
		s := &scenario{w: w, up: make(map[string]int), isUp: make(map[string]bool), lastEnd: make(map[string]time.Time)}
		w.on("op", s.act)
		w.on("OnActivate", s.activate)
		w.on("OnDeactivate", s.deactivate)
		var wg sync.WaitGroup
		for _, o := range ops {
			wg.Go(func() { s.launch(o) })
		}
		wg.Wait()
		sleep(object.DefaultCallTimeout + 20*time.Second) // what was left behind ends, and everything is let go
		if n := w.Activations(); n != 0 {
			s.problem("%d objects were not let go", n)
		}
		if err := w.Stop(t.Context()); err != nil {
			s.problem("Stop: %v", err)
		}
		s.judge()
		if t.Failed() {
			s.problem("turns overlapped: see above")
		}
		problems, expired = s.problems, s.expired
	})
	return problems, expired
}

func TestModel(t *testing.T) {
	t.Parallel()
	checkModel(t, false)
}

// Two chains that wait for each other are no cycle that is refused. They end at their
// deadlines, they and those that wait for them, and nobody else does.
func TestModelOfChainsThatWaitForEachOther(t *testing.T) {
	t.Parallel()
	n := checkModel(t, true)
	t.Logf("%d operations expired", n)
	if n == 0 {
		t.Error("no two chains waited for each other")
	}
}

func checkModel(t *testing.T, crosswise bool) (expired int) {
	t.Helper()
	drawn, least := rapid.Custom(func(rt *rapid.T) *op { return drawOp(rt, crosswise, nil) }), 1
	if crosswise {
		least = 20
	}
	rapid.Check(t, func(rt *rapid.T) {
		ops := rapid.SliceOfN(drawn, least, 60).Draw(rt, "ops")
		problems, n := runScenario(t, ops)
		if expired += n; len(problems) > 0 {
			rt.Fatalf("%s\nin %v", strings.Join(problems, "\n"), ops)
		}
	})
	return expired
}

// judge checks the outcomes against the rules.
func (s *scenario) judge() {
	for _, out := range s.outcomes {
		s.judgeAnswer(out)
	}
	for id, up := range s.isUp {
		if up {
			s.problem("%s did not end", id)
		}
	}
	for _, a := range s.outcomes { // arrival order
		for _, b := range s.outcomes {
			ordered := a.op.ID == b.op.ID && a.inLine() && b.inLine() && a.ran > 0 && b.ran > 0
			if ordered && a.arrived.Before(b.arrived) && b.begun.Before(a.begun) {
				s.problem("%v arrived before %v and began after it", a.op, b.op)
			}
		}
	}
}

// inLine reports whether a call keeps its place in the order of arrival: a concurrent
// one does not, nor one whose chain is at its object already.
func (o *outcome) inLine() bool {
	for _, c := range o.chain {
		if c.op.ID == o.op.ID {
			return false
		}
	}
	return o.op.Method != "Free" && (o.op.Kind == "call" || o.op.Kind == "send")
}

func (s *scenario) judgeAnswer(out *outcome) {
	o := out.op
	if o.Kind == "send" && !out.over { // accepted
		if out.ran > 1 {
			s.problem("%v ran %d times", o, out.ran)
		}
		if out.ran == 0 && !s.knotted(out, out.arrived.Add(object.DefaultCallTimeout)) {
			s.problem("%v was accepted and did not run", o)
		}
		return
	}
	if !out.over {
		s.problem("%v was not answered", o)
		return
	}
	executed := object.Executed(out.err)
	if o.Kind == "call" {
		fits := map[object.Execution]bool{object.ExecutedYes: out.ran == 1, object.ExecutedNo: out.ran == 0, object.ExecutedUnknown: out.ran <= 1}
		if !fits[executed] {
			s.problem("%v ran %d times, answered %v, executed=%v", o, out.ran, out.err, executed)
		}
	}
	if want := s.expected(out); out.err != nil && !slices.ContainsFunc(want, func(e error) bool { return errors.Is(out.err, e) }) {
		s.problem("%v: %v, executed=%v, want one of %v", o, out.err, executed, want)
	}
	if refused := s.mustBeRefused(out); refused != errors.Is(out.err, object.ErrDeadlock) && !gaveUp(out.err) {
		s.problem("%v: %v, deadlock should be %v", o, out.err, refused)
	}
}

// gaveUp reports whether an operation ended because its context did.
func gaveUp(err error) bool {
	return errors.Is(err, object.ErrCanceled) || errors.Is(err, object.ErrDeadlineExceeded)
}

// expected returns the errors that an operation may end with.
func (s *scenario) expected(out *outcome) (errs []error) {
	o := out.op
	switch {
	case o.Kind == "create":
		errs = append(errs, object.ErrAlreadyExists)
	case o.Ends == "fail":
		errs = append(errs, object.ErrAborted)
	case o.Ends == "panic":
		errs = append(errs, object.ErrInternal)
	}
	if gaveUp(out.err) && s.knotted(out, out.told) {
		errs = append(errs, object.ErrDeadlineExceeded)
		if slices.ContainsFunc(out.chain, func(c *outcome) bool { return c.op.Method == "Loose" }) {
			errs = append(errs, object.ErrCanceled) // the turn's that calls, which its caller has left
		}
		s.expired++
	}
	for _, c := range append(out.chain, out) {
		if c.op.Cancel > 0 || c.op.Kind == "send" { // a send's turn ends with its chain
			errs = append(errs, object.ErrCanceled)
		}
		if c != out && c.op.ID == o.ID { // it may wait for the end of a failed activation
			errs = append(errs, object.ErrDeadlock, object.ErrUnavailable)
		}
	}
	return errs
}

// mustBeRefused is the rule of call chains, in the simplest words: the innermost turn
// of the chain on this object decides, past concurrent ones.
func (s *scenario) mustBeRefused(out *outcome) bool {
	for _, c := range slices.Backward(out.chain) {
		holder := c.op
		if holder.ID != out.op.ID || holder.Method == "Free" {
			continue
		}
		read := holder.Method == "Read"
		switch {
		case out.op.Method == "Free", read && out.op.Method == "Read":
			return false
		case strings.HasPrefix(out.op.ID, "ModelLoop") && !read:
			return false
		}
		return true
	}
	return false
}
