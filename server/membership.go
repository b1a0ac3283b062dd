package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	wire "github.com/xiaonanln/goverse/internal/transport/grpc"
)

// beMember keeps the server a member of its cluster, and reachable for the others. A
// member whose lease was lost has lost its shards with it: the server joins again under
// another name, with no objects and no clients.
func (s *Server) beMember(ctx context.Context, p *parts, ready func()) error {
	ready = sync.OnceFunc(ready)
	for {
		err := s.beMemberOnce(ctx, p, p.incarnation(), ready)
		if !errors.Is(err, cluster.ErrLeaseLost) || ctx.Err() != nil {
			return err
		}
		s.cfg.Logger.WarnContext(ctx, "the server has lost its place in the cluster, and joins again", "error", err.Error())
		if p.clients != nil {
			p.clients.LoseAll()
		}
	}
}

func (s *Server) beMemberOnce(ctx context.Context, p *parts, before string, ready func()) error {
	peer := transport.Peer{Cluster: s.cfg.Cluster, Address: s.cfg.ListenAddress, Incarnation: rand.Text()}
	if bound := s.Addr(); bound != "" {
		peer.Address = bound // the port that was chosen
	}
	h := health.NewServer()
	unhealthy := s.vitals.watch(h)
	defer unhealthy() // also where nothing was started
	network := wire.New(wire.Config{
		Logger: s.cfg.Logger, Clock: s.clock,
		Services: func(r grpc.ServiceRegistrar) { healthpb.RegisterHealthServer(r, h) },
	})
	endpoint, err := network.Listen(ctx, peer, p.router.Handler())
	if err != nil {
		return fmt.Errorf("%s: %w", nodeService, err)
	}
	s.setAddr(nodeService, endpoint.Peer().Address)
	member := cluster.NewMember(s.memberConfig(p, endpoint.Peer()))
	if err = s.succeed(ctx, member, before); err == nil {
		p.member.Store(member)
		err = s.serveMember(ctx, p, member, endpoint, func() {
			s.belong(ctx, member)
			s.vitals.joined()
			ready()
		})
		s.vitals.change(&s.vitals.member, false)
	}
	unhealthy()
	until, release := s.untilDeadline(ctx)
	defer release()
	if err != nil && p.member.Load() == member { // it has nothing any more, and need not be waited for
		_ = member.Evict(until, member.Incarnation())
	}
	if ctx.Err() != nil && err == nil {
		_ = endpoint.Drain(until) // what it does not wait for, Close ends
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	return join(err, endpoint.Close(closing))
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

// serveMember runs the member, and the router beside it. A server that is alone ends
// its objects before it leaves; others hand them over.
func (s *Server) serveMember(ctx context.Context, p *parts, member *cluster.Member, endpoint transport.Endpoint, ready func()) error {
	left, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	var ended sync.WaitGroup
	var failure error
	ended.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer ended.Done()
		if len(member.Members()) <= 1 {
			failure = s.endObjects(ctx, p)
		}
		leave()
	})
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- p.router.Serve(serving, member, endpoint) }()
	err := member.Run(left, ready)
	stopServing()
	if !stop() {
		ended.Wait()
	}
	return join(err, <-served, failure)
}

func (s *Server) memberConfig(p *parts, self transport.Peer) cluster.Config {
	cfg := cluster.Config{
		Store: p.store, Clock: s.clock, Logger: s.cfg.Logger, Host: watchedHost{p.router.Host(), &s.vitals, p.valid},
		Name: s.cfg.Cluster, Address: s.advertised(self.Address), Incarnation: self.Incarnation,
		Shards: s.cfg.Shards, Weight: s.cfg.Weight, LeaseTTL: s.cfg.LeaseTTL,
		UUID: s.uuid(p), LeaveTimeout: s.cfg.DrainTimeout * 4 / 5, Broken: p.broken,
	}
	if s.cfg.inMemory() { // who does not answer there is dead, and has been signed off
		cfg.Relist = -1 // its watch loses nothing
		cfg.Gather = -1 // servers of one process start one after the other
	}
	cfg.DrainTimeout = min(shardDrainTimeout, cfg.LeaveTimeout)
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
