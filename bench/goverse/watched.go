package goverse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/goverseapi"
)

// Watched is a node of a cluster at which an inspector looks, and what makes calls from there. It is used by one goroutine
// at a time, but for the calls of its targets.
type Watched struct {
	node *node
	meet meeting
}

// OpenWatched starts a node: the first of a cluster, with a real embedded etcd, where first is empty; else another one of
// the cluster that first, what its [Watched.Tell] said, belongs to. Short asks for few shards.
func OpenWatched(ctx context.Context, first string, short bool) (*Watched, error) {
	var (
		server peer.Server
		err    error
	)
	if first == "" {
		server, err = firstNode(ctx, short, false)
	} else {
		server, err = nextNode(ctx, first, false)
	}
	if err != nil {
		return nil, err
	}
	n, ok := server.(*node)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a node is a %T", server), server.Close(ctx))
	}
	m, err := readMeeting(n.Tell())
	if err != nil {
		return nil, errors.Join(err, n.Close(ctx))
	}
	return &Watched{node: n, meet: m}, nil
}

// Tell is what other nodes need to know.
func (w *Watched) Tell() string { return w.node.Tell() }

// Meeting is the etcd's address and the cluster's name.
func (w *Watched) Meeting() (etcd, cluster string) { return w.meet.Etcd, w.meet.Cluster }

// Close stops the node.
func (w *Watched) Close(ctx context.Context) error { return w.node.Close(ctx) }

// Tallies are objects that live on this node, or that do not. They are found when the cluster has settled.
func (w *Watched) Tallies(ctx context.Context, here bool, objects, callers int) (peer.Target, error) {
	own := int64(os.Getpid())
	there := func(ctx context.Context, id string) (bool, error) {
		resp, err := goverseapi.Call[*benchpb.BumpResponse](w.node.server.Context(ctx), id, "Where", &benchpb.BumpRequest{})
		return (resp.GetValue() == own) == here, err
	}
	ids, err := findThere(ctx, "Tally-", objects, there)
	if err != nil {
		return nil, err
	}
	return w.target(callers, func(ctx context.Context, object int, payload []byte) (*benchpb.BumpResponse, error) {
		return goverseapi.Call[*benchpb.BumpResponse](ctx, ids[object], "Bump", &benchpb.BumpRequest{Payload: payload})
	}), nil
}

// Talkers are objects, wherever they live, each of which calls another object when it is called: so every call of the
// target is two calls.
func (w *Watched) Talkers(callers int) peer.Target {
	return w.target(callers, func(ctx context.Context, object int, payload []byte) (*benchpb.BumpResponse, error) {
		number := strconv.Itoa(object)
		return goverseapi.Call[*benchpb.BumpResponse](ctx, "Talker-"+number, "Relay",
			&benchpb.RelayRequest{Object: "Tally-heard-" + number, Payload: payload})
	})
}

func (w *Watched) target(callers int, call watchedCall) peer.Target {
	t := &watchedTarget{server: w.node.server, stamps: peer.NewStamps(callers), call: call}
	t.stamps.Resize(peer.StampBytes)
	return t
}

// Fill makes the first call to the objects "Tally-many-N" for N from from up to to.
func (w *Watched) Fill(ctx context.Context, from, to int) error {
	const atOnce = 64
	group, ctx := errgroup.WithContext(w.node.server.Context(ctx))
	for i := range atOnce {
		group.Go(func() error {
			for n := from + i; n < to; n += atOnce {
				if err := w.Bump(ctx, "Tally-many-"+strconv.Itoa(n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// Bump calls one object.
func (w *Watched) Bump(ctx context.Context, id string) error {
	_, err := goverseapi.CallObject(w.node.server.Context(ctx), id, "Bump", &benchpb.BumpRequest{})
	if err != nil {
		return fmt.Errorf("call %s: %w", id, err)
	}
	return nil
}

// Break has a Talker panic. It is an error if nothing breaks.
func (w *Watched) Break(ctx context.Context, id string) error {
	if _, err := goverseapi.CallObject(w.node.server.Context(ctx), id, "Break", &benchpb.BumpRequest{}); err == nil {
		return fmt.Errorf("%s does not panic", id)
	}
	return nil
}

// Talker calls other objects.
type Talker struct{ goverseapi.BaseObject }

// Relay passes a call on.
func (*Talker) Relay(ctx context.Context, req *benchpb.RelayRequest) (*benchpb.BumpResponse, error) {
	return goverseapi.Call[*benchpb.BumpResponse](ctx, req.GetObject(), "Bump", &benchpb.BumpRequest{Payload: req.GetPayload()})
}

// Break panics.
func (*Talker) Break(context.Context, *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	panic("as it was told to") //nolint:forbidigo // as a user's mistake does
}

type watchedCall func(ctx context.Context, object int, payload []byte) (*benchpb.BumpResponse, error)

// watchedTarget belongs to a node that stays when it is closed.
type watchedTarget struct {
	server *goverseapi.Server
	stamps *peer.Stamps
	call   watchedCall
}

func (t *watchedTarget) Context(ctx context.Context) context.Context { return t.server.Context(ctx) }

func (t *watchedTarget) Call(ctx context.Context, caller, object int) (int64, error) {
	resp, err := t.call(ctx, object, t.stamps.Next(caller))
	if err != nil {
		return 0, err
	}
	return resp.GetValue(), t.stamps.Check(caller, resp.GetPayload())
}

func (*watchedTarget) Close(context.Context) error { return nil }
