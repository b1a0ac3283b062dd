package etcd

import (
	"context"
	"fmt"

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
		v, err := s.try(ctx, s.links[at], rep, i == len(s.links)-1, f)
		if v == done {
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

// try sends a request over one link.
func (s *Store) try(ctx context.Context, l *link, rep repeat, last bool, f func(context.Context, path) error) (verdict, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if !last {
		limited, cancel = context.WithTimeout(ctx, Patience)
	}
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
		return done, nil
	}
	if ctx.Err() != nil {
		return done, ended(ctx, err)
	}
	if limited.Err() != nil {
		s.suspect(ctx, p)
	}
	v, err := judge(err)
	if v == done {
		return v, err
	}
	return v, fmt.Errorf("etcd endpoint %s: %w", l.endpoint, err)
}

// leave makes the next link the one in use.
func (s *Store) leave(ctx context.Context, at int, why error) {
	next := (at + 1) % len(s.links)
	if ctx.Err() == nil && next != at && s.current.CompareAndSwap(int64(at), int64(next)) {
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
