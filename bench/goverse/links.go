package goverse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/internal/transport"
	transportgrpc "github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
)

const (
	linksCluster = "bench"
	linkedID     = "Tally-linked"
)

// Links are what a node keeps for each peer that it has called (dialled), or that has called it: the transport of the
// nodes alone, with as many endpoints in the other process as there are peers. Each link has carried a call.
func Links(dialled bool) peer.Crowd { return links{dialled: dialled} }

type links struct{ dialled bool }

func (l links) Name() string {
	if l.dialled {
		return "goverse link dialled"
	}
	return "goverse link accepted"
}

func (links) Module() string { return modulePath }
func (links) Servers() int   { return 1 }

// WeighDriver implements [peer.Weighed]: the node whose links are weighed is where the one endpoint is.
func (l links) WeighDriver() bool { return l.dialled }

func (l links) Serve(ctx context.Context, _ []string, members int) (peer.Server, error) {
	e := newEndpoints("server")
	n := 1
	if l.dialled {
		n = members
	}
	if err := e.open(ctx, n); err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	return e, nil
}

func (l links) Gather(ctx context.Context, before []string) (peer.Gathering, error) {
	g := &linksGathering{endpoints: newEndpoints("driver"), dialled: l.dialled, addresses: strings.Split(before[0], ",")}
	if l.dialled {
		if err := g.endpoints.open(ctx, 1); err != nil {
			return nil, errors.Join(err, g.Close(ctx))
		}
	}
	return g, nil
}

// endpoints are those of one process.
type endpoints struct {
	role      string
	transport *transportgrpc.Transport
	opened    []transport.Endpoint
}

func newEndpoints(role string) *endpoints {
	return &endpoints{role: role, transport: transportgrpc.New(transportgrpc.Config{})}
}

// open opens more endpoints on loopback ports.
func (e *endpoints) open(ctx context.Context, n int) error {
	answer := transport.HandlerFunc(func(context.Context, *transport.Call) *transport.Reply { return &transport.Reply{} })
	for range n {
		self := transport.Peer{Cluster: linksCluster, Address: "127.0.0.1:0", Incarnation: e.incarnation(len(e.opened))}
		one, err := e.transport.Listen(ctx, self, answer)
		if err != nil {
			return fmt.Errorf("open endpoint: %w", err)
		}
		e.opened = append(e.opened, one)
	}
	return nil
}

func (e *endpoints) incarnation(i int) string { return fmt.Sprintf("%s-%d", e.role, i) }

// Tell implements [peer.Server].
func (e *endpoints) Tell() string {
	addresses := make([]string, len(e.opened))
	for i, one := range e.opened {
		addresses[i] = one.Peer().Address
	}
	return strings.Join(addresses, ",")
}

// Close implements [peer.Server].
func (e *endpoints) Close(ctx context.Context) error {
	var errs []error
	for _, one := range e.opened {
		errs = append(errs, one.Close(ctx))
	}
	return errors.Join(errs...)
}

// linksGathering is the driver.
type linksGathering struct {
	*endpoints

	dialled   bool
	addresses []string // of the server's endpoints
	made      int
}

// Add makes links: from the one endpoint here to others, or from others to the one endpoint there.
func (g *linksGathering) Add(ctx context.Context, members int) error {
	if !g.dialled {
		if err := g.open(ctx, members); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(dialAtOnce)
	for i := g.made; i < g.made+members; i++ {
		from, to := g.opened[0], transport.Peer{Cluster: linksCluster, Incarnation: "server-0", Address: g.addresses[0]}
		if g.dialled {
			to.Address, to.Incarnation = g.addresses[i], fmt.Sprintf("server-%d", i)
		} else {
			from = g.opened[i]
		}
		group.Go(func() error {
			_, err := from.Dial(to).Call(ctx, &transport.Call{Request: object.Request{ID: linkedID, Method: "Bump"}})
			return err
		})
	}
	g.made += members
	return group.Wait()
}
