package server

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/internal/lifecycle"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/storage/memory"
)

// The names of services that have an address.
const (
	nodeService   = "node listener"
	clientService = "client listener"
)

// parts is what a running server consists of.
type parts struct {
	node    *node.Node
	clients *client.Service // nil without a client service
	types   *object.Registry
}

func (p *parts) isClient(id string) bool {
	typ, _, err := object.ParseID(id)
	if err != nil {
		return false
	}
	t := p.types.Lookup(typ)
	return t != nil && t.Client
}

// kick disconnects a client; one that is gone already is no error.
func (p *parts) kick(ctx context.Context, id string) error {
	if p.clients == nil {
		return nil
	}
	if err := p.clients.Kick(ctx, id); err != nil && !errors.Is(err, object.ErrNotFound) {
		return err
	}
	return nil
}

// services lists the parts in the order in which they start.
func (s *Server) services() []lifecycle.Service {
	p := &parts{types: s.cfg.Registry}
	store := memory.New()
	p.node = node.New(node.Config{
		Registry: s.cfg.Registry, Clock: s.clock, Logger: s.cfg.Logger, Runtime: s.runtime,
		Fence: func(ctx context.Context, shard uint32, epoch uint64) error {
			_, err := store.Fence(ctx, shard, epoch)
			return err
		},
		Shards: s.cfg.Shards, IdleTimeout: s.cfg.IdleTimeout, CallTimeout: s.cfg.CallTimeout,
		AppError:   grpcerr.FromApp,
		ClientGone: func(id string) { p.clients.Lost(id) },
	})
	services := []lifecycle.Service{
		{Name: "server", Run: s.be},
		{Name: nodeService, Run: s.listenForNodes},
		{Name: "membership", Run: func(ctx context.Context, ready func()) error { return s.beMember(ctx, owner{p.node}, ready) }},
		{Name: "sweep for idle objects", Run: p.node.Run},
		{Name: "objects", Run: func(ctx context.Context, ready func()) error { return s.hostObjects(ctx, p, ready) }},
	}
	if s.cfg.ClientListenAddress != "" {
		p.clients = client.NewService(client.Config{
			Node: p.node, ClientType: s.cfg.Registry.ClientType().Name, Logger: s.cfg.Logger, Clock: s.clock,
		})
		services = append(services, lifecycle.Service{Name: clientService, Run: func(ctx context.Context, ready func()) error {
			return s.serveClients(ctx, p.clients, ready)
		}})
	}
	return services
}

// owner is the node as its member sees it.
type owner struct{ node *node.Node }

func (o owner) OpenShard(ctx context.Context, shard uint32, epoch uint64) error {
	return o.node.OpenShard(ctx, shard, epoch, nil)
}

// beMember keeps the server a member of its cluster, here of one inside the process.
// Nobody else can have taken its shards there, so a server that was stopped or slept
// past its lease joins again and keeps its objects.
func (s *Server) beMember(ctx context.Context, owner cluster.Owner, ready func()) error {
	store := mem.New(s.clock, mem.Options{})
	defer store.Close()
	link := store.Connect()
	advertise := s.cfg.AdvertiseAddress
	if advertise == "" {
		advertise = s.Addr()
	}
	for {
		err := cluster.NewMember(cluster.Config{
			Store: link, Clock: s.clock, Logger: s.cfg.Logger, Name: s.cfg.Cluster, Address: advertise,
			Shards: s.cfg.Shards, LeaseTTL: s.cfg.LeaseTTL, Owner: owner,
		}).Run(ctx, ready)
		if !errors.Is(err, cluster.ErrLeaseLost) {
			return err
		}
		s.cfg.Logger.WarnContext(ctx, "the process stood still for longer than its lease, and joins again", "lease", s.cfg.LeaseTTL)
		if err := revokeAll(ctx, link); err != nil {
			return err
		}
	}
}

// revokeAll ends what is left of the leases in a store that only this server uses.
func revokeAll(ctx context.Context, store coord.Store) error {
	page, err := store.Range(ctx, "", coord.RangeOptions{})
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	for _, kv := range page.KVs {
		if kv.Lease == coord.NoLease {
			continue
		}
		if err := store.Revoke(ctx, kv.Lease); err != nil && !errors.Is(err, coord.ErrLeaseNotFound) {
			return fmt.Errorf("revoke lease: %w", err)
		}
	}
	return nil
}

// hostObjects opens the node for calls and makes the objects that were asked for
// before the start; when ctx ends it ends all objects.
func (s *Server) hostObjects(ctx context.Context, p *parts, ready func()) error {
	s.parts.Store(p)
	var failure error
	created := make(chan struct{})
	go func() {
		defer close(created)
		failure = s.createStartup(ctx, p.node)
	}()
	select {
	case <-created:
		if failure == nil {
			ready()
			<-ctx.Done()
		}
		return errors.Join(failure, s.endObjects(ctx, p.node))
	case <-ctx.Done(): // the start is given up
	}
	err := s.endObjects(ctx, p.node)
	if err == nil {
		<-created // it waits for no object any more
	}
	return err
}

func (s *Server) endObjects(ctx context.Context, n *node.Node) error {
	until, release := s.untilDeadline(ctx)
	defer release()
	return n.Stop(until)
}

func (s *Server) createStartup(ctx context.Context, n *node.Node) error {
	s.mu.Lock()
	objects := s.startup
	s.startup = nil
	s.mu.Unlock()
	for _, c := range objects {
		if _, err := n.Create(ctx, c.typ, c.id, c.init); err != nil && !errors.Is(err, object.ErrAlreadyExists) {
			return err
		}
	}
	return nil
}

// listenForNodes serves the port for other nodes. This version answers the standard
// health service there; calls between nodes come with clusters.
func (s *Server) listenForNodes(ctx context.Context, ready func()) error {
	g := grpc.NewServer()
	h := health.NewServer()
	healthpb.RegisterHealthServer(g, h)
	return s.serve(ctx, nodeService, s.cfg.ListenAddress, g, ready, func(context.Context) error { h.Shutdown(); return nil })
}

// serveClients serves the port for clients, and drains them when ctx ends.
func (s *Server) serveClients(ctx context.Context, svc *client.Service, ready func()) error {
	g := grpc.NewServer(svc.ServerOptions(insecure.NewCredentials())...)
	svc.Register(g)
	h := client.RegisterStandard(g)
	return s.serve(ctx, clientService, s.cfg.ClientListenAddress, g, ready, func(until context.Context) error {
		h.Shutdown()
		return svc.Stop(until)
	})
}

// serve runs a gRPC server until ctx ends; drain comes before its connections close.
func (s *Server) serve(ctx context.Context, name, address string, g *grpc.Server, ready func(), drain func(context.Context) error) error {
	bound, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	lis := newListener(bound)
	s.setAddr(name, lis.Addr())
	served := make(chan error, 1)
	go func() { served <- g.Serve(lis) }()
	ready()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", address, err)
	case <-ctx.Done():
	}
	until, release := s.untilDeadline(ctx)
	defer release()
	err = drain(until)
	gone := stopServing(until, g, lis)
	if err == nil {
		<-gone // no handler ignores its end
	}
	if e := <-served; !errors.Is(e, grpc.ErrServerStopped) { // that: stopped before it began
		err = errors.Join(err, e)
	}
	return err
}
