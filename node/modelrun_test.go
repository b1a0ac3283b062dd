package node_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

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
	return "", out.op.end()
}

// end ends what the operation runs.
func (o *op) end() error {
	switch o.Ends {
	case "fail":
		return object.NewError(object.CodeAborted, "as it should")
	case "panic":
		panic("as it should")
	}
	return nil
}

// create is OnCreate. The error of one that fails is nobody else's.
func (s *scenario) create(ctx context.Context, _ *actor, init string) (string, error) {
	i, err := strconv.Atoi(strings.TrimPrefix(init, "op "))
	if err != nil {
		return "", err
	}
	sleepIn(ctx, 5*time.Millisecond)
	s.mu.Lock()
	o := s.outcomes[i].op
	s.mu.Unlock()
	return "", o.end()
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
		out, init := s.arrive(o, nil)
		typ, _, _ := strings.Cut(o.ID, "-")
		_, err := s.w.Create(ctx, typ, o.ID, wrapperspb.String(init))
		s.answered(out, err)
	case "delete":
		out, _ := s.arrive(o, nil)
		s.answered(out, s.w.Delete(ctx, o.ID))
	default:
		s.call(ctx, o, nil, chain)
	}
}
