package node_test

import (
	"errors"
	"slices"
	"strings"

	"github.com/xiaonanln/goverse/object"
)

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
	if o.Kind == "create" {
		errs = append(errs, object.ErrAlreadyExists)
	}
	switch o.Ends {
	case "fail":
		errs = append(errs, object.ErrAborted)
	case "panic":
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
