package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/internal/inspection"
	"github.com/xiaonanln/goverse/internal/lifecycle"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/storage/memory"
	"github.com/xiaonanln/goverse/util/company"
)

// The names of services that have an address.
const (
	nodeService   = "node listener"
	clientService = "client listener"
	adminService  = "admin listener"
)

// parts is what a running server consists of.
type parts struct {
	node    *node.Node
	router  *routing.Router
	clients *client.Service // nil without a client service
	store   coord.Store     // once the coordination store has started
	broken  <-chan struct{} // … receives when it may have ended, if it may lose everything then
	member  atomic.Pointer[cluster.Member]
	ended   sync.Once // the objects

	company    *company.Company // of all connections
	chronicle  *chronicle
	inspection *inspection.Service
}

// valid reports whether the server may answer: its lease has not ended.
func (p *parts) valid() bool {
	m := p.member.Load()
	return m != nil && m.Valid()
}

// loseClients tells all clients to register again.
func (p *parts) loseClients() {
	if p.clients != nil {
		p.clients.LoseAll()
	}
}

// incarnation names the server in its cluster; empty before it is a member.
func (p *parts) incarnation() string {
	if m := p.member.Load(); m != nil {
		return m.Incarnation()
	}
	return ""
}

// services lists the parts in the order in which they start.
func (s *Server) services() ([]lifecycle.Service, error) {
	p := &parts{chronicle: s.newChronicle(), company: company.New(s.clock)}
	p.node = s.newNode(p)
	if s.cfg.ClientListenAddress != "" {
		p.clients = client.NewService(client.Config{
			Node: &guarded{Node: p.node, valid: s.validForClients(p)}, ClientType: s.cfg.Registry.ClientType().Name, Place: p.incarnation,
			Logger: s.cfg.Logger, Clock: s.clock, Company: p.company, TooSlow: p.chronicle.clientTooSlow,
		})
	}
	p.router = s.newRouter(p)
	p.inspection = s.newInspection(p)
	services := []lifecycle.Service{{Name: "server", Run: s.be}}
	if s.cfg.AdminAddress != "" {
		services = append(services, lifecycle.Service{Name: adminService, Run: func(ctx context.Context, ready func()) error {
			return s.serveAdmin(ctx, p, ready)
		}})
	}
	coordination, err := s.coordination(p)
	if err != nil {
		return nil, err
	}
	if s.cfg.DataDir != "" {
		services = append(services, lifecycle.Service{Name: "data directory", Run: s.holdDir})
	}
	services = append(services, coordination...)
	services = append(services, s.inspector(p)...)
	services = append(services,
		lifecycle.Service{Name: "objects", Run: func(ctx context.Context, ready func()) error { return s.hostObjects(ctx, p, ready) }},
		lifecycle.Service{Name: "sweep for idle objects", Run: p.node.Run},
		lifecycle.Service{Name: "membership", Run: func(ctx context.Context, ready func()) error { return s.beMember(ctx, p, ready) }},
		lifecycle.Service{Name: "startup objects", Run: func(ctx context.Context, ready func()) error { return s.createObjects(ctx, p, ready) }},
	)
	if p.clients != nil {
		services = append(services, lifecycle.Service{Name: clientService, Run: func(ctx context.Context, ready func()) error {
			return s.serveClients(ctx, p.clients, ready)
		}})
	}
	return services, nil
}

func (s *Server) newNode(p *parts) *node.Node {
	store := memory.New()
	return node.New(node.Config{
		Registry: s.cfg.Registry, Clock: s.clock, Logger: s.cfg.Logger, Runtime: s.runtime,
		Fence: func(ctx context.Context, shard uint32, epoch uint64) error {
			_, err := store.Fence(ctx, shard, epoch)
			return err
		},
		Shards: s.cfg.Shards, IdleTimeout: s.cfg.IdleTimeout, CallTimeout: s.cfg.CallTimeout,
		AppError: grpcerr.FromApp,
		// What turns leave behind must go while the server stops, when programs are refused.
		Onward: func(ctx context.Context, id, method string, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
			return p.router.Call(ctx, id, method, req, opts...)
		},
		ClientGone: func(id string) { p.clients.Lost(id) },
		Event:      p.chronicle.journal.Add,
	})
}

func (s *Server) newRouter(p *parts) *routing.Router {
	cfg := routing.Config{
		Node: p.node, Registry: s.cfg.Registry, Clock: s.clock, Logger: s.cfg.Logger,
		Cluster: s.cfg.Cluster, CallTimeout: s.cfg.CallTimeout, Flaws: s.flaws,
	}
	if p.clients != nil {
		cfg.Clients = p.clients
	}
	if !s.cfg.inMemory() { // a coordinator inside the process stands still when the process does
		cfg.Valid = p.valid
	}
	return routing.New(cfg)
}

// validForClients is what a server asks before it answers clients.
func (s *Server) validForClients(p *parts) func() bool {
	if s.flaws.AnswerClients {
		return func() bool { return true }
	}
	return p.valid
}

// holdDir keeps other servers away from the data directory.
func (s *Server) holdDir(ctx context.Context, ready func()) error {
	c, err := claimDir(s.cfg.DataDir)
	if err != nil {
		return err
	}
	s.claim = c
	ready()
	<-ctx.Done()
	return c.release()
}

// hostObjects ends all objects when ctx ends. The server is no member any more then: what
// would have to be found elsewhere is refused, as it would hold up the stop.
func (s *Server) hostObjects(ctx context.Context, p *parts, ready func()) error {
	ready()
	<-ctx.Done()
	p.router.Close()
	return s.endObjects(ctx, p)
}

// createObjects opens the server for calls and makes the objects that were asked for
// before the start.
func (s *Server) createObjects(ctx context.Context, p *parts, ready func()) error {
	s.openFor(p)
	var failure error
	created := make(chan struct{})
	go func() {
		defer close(created)
		failure = s.createStartup(ctx, p)
	}()
	select {
	case <-created:
		if failure == nil {
			s.vitals.change(&s.vitals.created, true)
			ready()
			<-ctx.Done()
		}
		return failure
	case <-ctx.Done(): // the start is given up
	}
	err := s.endObjects(ctx, p)
	if err == nil {
		<-created // it waits for no object any more
	}
	return err
}

func (s *Server) createStartup(ctx context.Context, p *parts) error {
	s.mu.Lock()
	objects := s.startup
	s.startup = nil
	s.mu.Unlock()
	for _, c := range objects {
		if _, err := p.router.Create(ctx, c.typ, c.id, c.init); err != nil && !errors.Is(err, object.ErrAlreadyExists) {
			return err
		}
	}
	return nil
}

// endObjects ends all objects; the first who asks for it learns what was in the way.
func (s *Server) endObjects(ctx context.Context, p *parts) (err error) {
	p.ended.Do(func() {
		until, release := s.untilDeadline(ctx)
		defer release()
		err = p.node.Stop(until)
	})
	return err
}

// serveClients serves the port for clients, and drains them when ctx ends.
func (s *Server) serveClients(ctx context.Context, svc *client.Service, ready func()) error {
	g := grpc.NewServer(svc.ServerOptions(insecure.NewCredentials())...)
	svc.Register(g)
	unhealthy := s.vitals.watch(client.RegisterStandard(g))
	defer unhealthy() // also where nothing was started
	return s.serve(ctx, clientService, s.cfg.ClientListenAddress, g, ready, func(until context.Context) error {
		unhealthy()
		until, cancel := s.beforeHandOver(until)
		defer cancel()
		return svc.Stop(until)
	})
}

// beforeHandOver leaves a fifth of the drain timeout to handing over the shards, which
// begins when clients are gone: what objects keep would be lost without.
func (s *Server) beforeHandOver(until context.Context) (context.Context, context.CancelFunc) {
	end, _ := until.Deadline() // it has one
	return context.WithDeadlineCause(until, end.Add(-s.cfg.DrainTimeout/5), errTooLong)
}

// serve runs a gRPC server until ctx ends; drain comes before its connections close.
func (s *Server) serve(ctx context.Context, name, address string, g *grpc.Server, ready func(), drain func(context.Context) error) error {
	bound, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	lis := newListener(bound)
	s.setAddr(name, lis.Addr().String())
	served := make(chan error, 1)
	go func() { served <- g.Serve(lis) }()
	ready()
	select {
	case err = <-served: // by itself: who is connected still is
		if err != nil {
			err = fmt.Errorf("serve %s: %w", address, err)
		}
		served <- nil
	case <-ctx.Done():
	}
	until, release := s.untilDeadline(ctx)
	defer release()
	undrained := drain(until)
	gone := stopServing(until, g, lis)
	if undrained == nil {
		<-gone // no handler ignores its end
	}
	if e := <-served; !errors.Is(e, grpc.ErrServerStopped) { // that: stopped before it began
		err = join(err, e)
	}
	return join(err, undrained)
}
