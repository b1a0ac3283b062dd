package server

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/internal/transport"
	wire "github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/internal/w3c"
)

// beMember keeps the server a member of its cluster, and reachable for the others. A
// member whose lease was lost has lost its shards with it: the server joins again under
// another name, with no objects and no clients, and tries until it succeeds if it was
// ready before.
func (s *Server) beMember(ctx context.Context, p *parts, ready func()) error {
	s.parts.Store(p) // turns of others' calls may call from the first shard on
	wasReady := false
	tell := sync.OnceFunc(func() { wasReady = true; ready() })
	for tries := 0; ; tries++ {
		began := s.clock.Monotonic()
		lapsed, err := s.beMemberOnce(ctx, p, p.incarnation(), tell)
		if ctx.Err() != nil || !mayRejoin(lapsed, wasReady) {
			return err
		}
		if s.clock.Monotonic()-began > maxRejoinPause { // it was a member for a while
			tries = 0
		}
		s.cfg.Logger.WarnContext(ctx, "the server is not in the cluster any more, and joins again", "tries", tries, "error", err.Error())
		p.chronicle.note("lease", "error", "not in the cluster any more: "+err.Error())
		p.loseClients()
		if !s.restBeforeRejoin(ctx, tries) {
			return nil
		}
	}
}

// mayRejoin says whether a membership has ended so that another one may work: because the
// lease was lost, or, for a server that has been ready, because the store cannot be reached.
func mayRejoin(err error, wasReady bool) bool {
	switch {
	case errors.Is(err, cluster.ErrLeaseLost):
		return true
	case !wasReady || errors.Is(err, coord.ErrRestored) || errors.Is(err, shard.ErrIncompatible):
		return false
	}
	return errors.Is(err, coord.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

const (
	rejoinPause    = 100 * time.Millisecond // before the second try to join again
	maxRejoinPause = 5 * time.Second        // after many
)

// restBeforeRejoin lets time pass: none at first, and more and more. False: ctx ended.
func (s *Server) restBeforeRejoin(ctx context.Context, tries int) bool {
	if tries == 0 {
		return ctx.Err() == nil
	}
	d := min(rejoinPause<<min(tries-1, 16), maxRejoinPause)
	timer := s.clock.NewTimer(d/2 + rand.N(d/2)) //nolint:gosec // G404: jitter
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// beMemberOnce is one membership. lapsed is how it ended; err is all that went wrong.
func (s *Server) beMemberOnce(ctx context.Context, p *parts, before string, ready func()) (lapsed, err error) {
	peer := transport.Peer{Cluster: s.cfg.Cluster, Address: s.cfg.ListenAddress, Incarnation: crand.Text()}
	if bound := s.Addr(); bound != "" {
		peer.Address = bound // the port that was chosen
	}
	h := health.NewServer()
	unhealthy := s.vitals.watch(h)
	defer unhealthy() // also where nothing was started
	network := wire.New(wire.Config{
		Logger: s.cfg.Logger, Clock: s.clock, Company: p.company,
		Services: func(r grpc.ServiceRegistrar) {
			healthpb.RegisterHealthServer(r, h)
			p.inspection.Register(r)
		},
	})
	endpoint, err := network.Listen(w3c.Without(ctx), peer, p.router.Handler())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nodeService, err)
	}
	s.setAddr(nodeService, endpoint.Peer().Address)
	var unended error // of the objects
	cfg := s.memberConfig(p, endpoint.Peer())
	cfg.Until = s.untilDeadline
	cfg.Farewell = func(ctx context.Context) { unended = s.endObjects(ctx, p) }
	member := cluster.NewMember(cfg)
	if lapsed = s.succeed(ctx, member, before); lapsed == nil {
		p.member.Store(member)
		p.loseClients() // who came in between has the name of the member before
		lapsed = s.serveMember(ctx, p, member, endpoint, func() {
			s.belong(ctx, member)
			s.vitals.joined()
			ready()
		})
		s.vitals.change(&s.vitals.member, false)
	}
	unhealthy()
	until, release := s.untilLeft(ctx)
	defer release()
	if lapsed != nil && p.member.Load() == member { // it answers for nothing any more, and need not be waited for
		_ = member.Evict(until, member.Incarnation())
	}
	err = join(lapsed, unended)
	if ctx.Err() != nil && err == nil {
		_ = endpoint.Drain(until) // what it does not wait for, Close ends
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	return lapsed, join(err, endpoint.Close(closing), p.inspection.Wait(closing))
}

// untilLeft is the time for what follows a membership: that of the stop, or a little where
// the server is not being stopped and will need that time yet.
func (s *Server) untilLeft(ctx context.Context) (until context.Context, release func()) {
	if ctx.Err() != nil {
		return s.untilDeadline(ctx)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), lastWords)
}

// join is all that went wrong, on one line; nil for nothing.
func join(all ...error) (joined error) {
	for _, err := range all {
		switch {
		case err == nil:
		case joined == nil:
			joined = err
		default:
			joined = fmt.Errorf("%w; %w", joined, err)
		}
	}
	return joined
}

// serveMember runs the member, and beside it the router and who writes down what happens.
func (s *Server) serveMember(ctx context.Context, p *parts, member *cluster.Member, endpoint transport.Endpoint, ready func()) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- p.router.Serve(serving, member, endpoint) }()
	var followed sync.WaitGroup
	known := make(chan struct{}) // closed when the member knows who is there
	followed.Go(func() {
		defer func() {
			if v := recover(); v != nil { // what it tells is worth less than the server
				s.cfg.Logger.ErrorContext(serving, "events are not written down any more", "panic", v, "stack", string(debug.Stack()))
			}
		}()
		p.chronicle.follow(serving, member, known, s.clock)
	})
	err := member.Run(ctx, func() { close(known); ready() })
	stopServing()
	followed.Wait()
	return join(err, <-served)
}

func (s *Server) memberConfig(p *parts, self transport.Peer) cluster.Config {
	cfg := cluster.Config{
		Store: p.store, Clock: s.clock, Logger: s.cfg.Logger, Host: watchedHost{p.router.Host(), &s.vitals, p.valid, p.chronicle},
		Name: s.cfg.Cluster, Address: s.advertised(self.Address), Incarnation: self.Incarnation,
		Shards: s.cfg.Shards, Weight: s.cfg.Weight, LeaseTTL: s.cfg.LeaseTTL,
		UUID: s.uuid(p), LeaveTimeout: s.cfg.DrainTimeout, Broken: p.broken,
		LastWords: func(ctx context.Context) { // one-way calls and pushes of the last turns
			until, release := s.untilDeadline(ctx)
			defer release()
			until, cancel := context.WithTimeout(until, lastWords)
			defer cancel()
			_ = p.node.Settle(until) // what is not gone by then does not go
			p.router.FlushPushes(until)
		},
	}
	if s.cfg.inMemory() { // who does not answer there is dead, and has been signed off
		cfg.Relist = -1 // its watch loses nothing
		cfg.Gather = -1 // servers of one process start one after the other
	}
	cfg.DrainTimeout = min(shardDrainTimeout, s.cfg.DrainTimeout*4/5)
	return cfg
}

// shardDrainTimeout bounds the drain of one shard in a move that is no hurry.
const shardDrainTimeout = 10 * time.Second

// advertised is the address that other servers are told.
func (s *Server) advertised(bound string) string {
	if s.cfg.AdvertiseAddress != "" {
		return s.cfg.AdvertiseAddress
	}
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return bound
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return bound
	}
	name, err := os.Hostname()
	if err != nil {
		s.cfg.Logger.Warn("the machine has no host name: set AdvertiseAddress", "error", fmt.Sprint(err))
		return bound
	}
	return net.JoinHostPort(name, port)
}
