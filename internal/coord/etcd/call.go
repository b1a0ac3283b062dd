package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
)

// repeat says whether a request may be carried out twice.
type repeat bool

const (
	once       repeat = false
	repeatable repeat = true
)

// call sends a request over the link in use, and over the others if need be; see the package comment.
func (s *Store) call(ctx context.Context, rep repeat, f func(context.Context, path) error) error {
	if err := s.past.restored(); err != nil {
		return err
	}
	var failed error
	first := int(s.current.Load())
	for i := range s.links {
		at := (first + i) % len(s.links)
		v, err := s.try(ctx, s.links[at], rep, len(s.links)-i, f)
		if v == done {
			if err != nil && late(ctx) {
				s.leave(ctx, at, err)
			}
			return err
		}
		s.leave(ctx, at, err)
		if failed == nil {
			failed = err
		} else {
			failed = fmt.Errorf("%w; %w", failed, err)
		}
		if v == unknown && rep == once {
			break
		}
	}
	return failed
}

// late says whether time has run out for who asked, as against having left by himself.
func late(ctx context.Context) bool { return errors.Is(ctx.Err(), context.DeadlineExceeded) }

// patience is ctx for a link, if left of them are to be tried: the last one has all the time there is, and those before
// it have Patience, or their share if the caller has not that much time.
func patience(ctx context.Context, left int) (context.Context, context.CancelFunc) {
	if left <= 1 {
		return ctx, func() {}
	}
	share := Patience
	if deadline, ok := ctx.Deadline(); ok {
		share = min(share, time.Until(deadline)/time.Duration(left)) //nolint:forbidigo // contexts know no other clock
	}
	return context.WithTimeout(ctx, share)
}

// try sends a request over one link of left that may be tried.
func (s *Store) try(ctx context.Context, l *link, rep repeat, left int, f func(context.Context, path) error) (verdict, error) {
	limited, cancel := patience(ctx, left)
	defer cancel()
	p, err := l.open(limited, false)
	if ctx.Err() != nil {
		return done, ended(ctx, err)
	}
	if err != nil {
		return unsent, fmt.Errorf("%w: %s", coord.ErrUnavailable, err.Error()) // not ErrInvalid: it is not the caller's fault
	}
	if rep == once {
		limited = ctx
	}
	if err = p.do(limited, f); err == nil {
		l.fails.Store(false)
		return done, nil
	}
	if limited.Err() != nil && ctx.Err() == nil || late(ctx) && len(s.links) > 1 {
		s.suspect(ctx, p)
	}
	if ctx.Err() != nil {
		return done, ended(ctx, err)
	}
	v, err := judge(err)
	if v == done {
		return v, err
	}
	return v, fmt.Errorf("etcd endpoint %s: %w", l.endpoint, err)
}

// leave makes the next link the one in use. It is told once of each link that fails, not with each request while all do.
func (s *Store) leave(ctx context.Context, at int, why error) {
	next := (at + 1) % len(s.links)
	if (ctx.Err() == nil || late(ctx)) && next != at && s.current.CompareAndSwap(int64(at), int64(next)) && !s.links[at].fails.Swap(true) {
		s.log.WarnContext(ctx, "etcd endpoint fails, using another", "failed", s.links[at].endpoint,
			"next", s.links[next].endpoint, "err", why)
	}
}

// suspect finds out whether a link that did not answer is dead, and replaces its connection if so.
func (s *Store) suspect(ctx context.Context, p path) {
	if !p.link.beginProbe(p) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if !s.start(func() { s.probe(ctx, p) }) {
		_ = p.link.endProbe(false)
	}
}

func (s *Store) probe(ctx context.Context, p path) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	_, err := p.status(ctx)
	dead := !answered(err)
	if dead {
		s.log.WarnContext(ctx, "etcd endpoint does not answer, closing its connection", "endpoint", p.link.endpoint, "err", err)
	}
	if err := p.link.endProbe(dead); err != nil {
		s.log.WarnContext(ctx, "etcd endpoint could not be connected anew", "endpoint", p.link.endpoint, "err", err)
	}
}
