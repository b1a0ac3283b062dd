package goverse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/client/goverseclient"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/goverseapi"
)

// roomID is the room that all members of a crowd are in.
const roomID = "Room-everybody"

// many members are measured; with fewer, no time is judged.
const many = 1000

// dialAtOnce is how many clients connect at a time.
const dialAtOnce = 64

// Sessions are clients that do nothing, each the project's Go client with a connection of its own.
func Sessions() peer.Crowd { return crowd{name: "goverse client Session", nodes: 1} }

// Registers are clients that do nothing, each a Register stream, so many on each connection.
func Registers(perConn int) peer.Crowd {
	return crowd{name: "goverse client Register", nodes: 1, perConn: perConn}
}

// RoomOfRegisters are clients in one room of a cluster of two nodes, each a Register stream, so many on each connection,
// which take turns between the nodes. What is said is pushed to each of them.
func RoomOfRegisters(perConn int) peer.Crowd {
	return crowd{name: "goverse room Register", nodes: 2, perConn: perConn, room: true}
}

// RoomOfSessions is the same of clients that are the project's Go client with a connection of its own each.
func RoomOfSessions() peer.Crowd { return crowd{name: "goverse room Session", nodes: 2, room: true} }

type crowd struct {
	name    string
	nodes   int
	perConn int // 0: the project's Go client
	room    bool
}

func (c crowd) Name() string { return c.name }
func (crowd) Module() string { return modulePath }
func (c crowd) Servers() int { return c.nodes }

func (c crowd) Serve(ctx context.Context, before []string, members int) (peer.Server, error) {
	if len(before) == 0 {
		return firstNode(ctx, members < many, true)
	}
	return nextNode(ctx, before[0], true)
}

// Room is the object that passes on what is said.
type Room struct {
	goverseapi.BaseObject

	members []string
}

// Enter makes a client a member.
func (r *Room) Enter(_ context.Context, req *benchpb.RelayRequest) (*benchpb.BumpResponse, error) {
	r.members = append(r.members, req.GetObject())
	return &benchpb.BumpResponse{Value: int64(len(r.members))}, nil
}

// Say pushes to every member.
func (r *Room) Say(ctx context.Context, shout *benchpb.Shout) (*benchpb.BumpResponse, error) {
	for _, id := range r.members {
		if err := goverseapi.PushMessage(ctx, id, shout); err != nil {
			return nil, fmt.Errorf("push to a member: %w", err)
		}
	}
	return &benchpb.BumpResponse{Value: int64(len(r.members))}, nil
}

// Enter brings the client into the room.
func (c *Caller) Enter(ctx context.Context, _ *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return goverseapi.Call[*benchpb.BumpResponse](ctx, roomID, "Enter", &benchpb.RelayRequest{Object: c.ID()})
}

// Say says something in the room.
func (c *Caller) Say(ctx context.Context, shout *benchpb.Shout) (*benchpb.BumpResponse, error) {
	return goverseapi.Call[*benchpb.BumpResponse](ctx, roomID, "Say", shout)
}

func (c crowd) Gather(ctx context.Context, before []string) (peer.Gathering, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g := &gathering{crowd: c, life: life, cancel: cancel}
	var first meeting
	for i, text := range before {
		m, err := readMeeting(text)
		if i == 0 {
			first = m
		}
		if err != nil {
			cancel()
			return nil, err
		}
		g.addresses = append(g.addresses, m.Client)
	}
	if c.room {
		if err := g.enterHall(ctx, first.Process); err != nil {
			return nil, errors.Join(err, g.Close(ctx))
		}
	}
	return g, nil
}

// enterHall connects who speaks, and waits until the cluster has shared out its shards: a room that moves then forgets
// its members.
func (g *gathering) enterHall(ctx context.Context, process int64) error {
	var err error
	if g.speaker, err = goverseclient.Dial(ctx, g.addresses[0]); err != nil {
		return fmt.Errorf("connect speaker: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return settle(ctx, "Tally-", func(ctx context.Context, id string) (bool, error) {
		resp, err := goverseclient.Call[*benchpb.BumpResponse](ctx, g.speaker, "Where", &benchpb.RelayRequest{Object: id})
		return resp.GetValue() == process, err
	})
}

// gathering is the driver. Each client has a goroutine that reads what is pushed to it, if it is in a room or has a stream
// of its own.
type gathering struct {
	crowd

	addresses []string // of the nodes' client services
	speaker   *goverseclient.Client
	heard     func(said time.Time)
	life      context.Context //nolint:containedctx // of all streams, ended by Close
	cancel    context.CancelFunc
	readers   sync.WaitGroup
	members   atomic.Int64

	mu      sync.Mutex // guards the fields below
	conns   []*grpc.ClientConn
	clients []*goverseclient.Client
}

// Hear implements [peer.Shouter].
func (g *gathering) Hear(heard func(said time.Time)) { g.heard = heard }

// Add implements [peer.Gathering]: the connections take turns between the nodes.
func (g *gathering) Add(ctx context.Context, members int) error {
	g.members.Add(int64(members))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(dialAtOnce)
	each := max(g.perConn, 1)
	for i := 0; i < members; i += each {
		address := g.addresses[(i/each)%len(g.addresses)]
		group.Go(func() error {
			if g.perConn == 0 {
				return g.addClient(ctx, address)
			}
			return g.addStreams(ctx, address, min(each, members-i))
		})
	}
	return group.Wait()
}

func (g *gathering) addClient(ctx context.Context, address string) error {
	c, err := goverseclient.Dial(ctx, address)
	if err != nil {
		return fmt.Errorf("connect client: %w", err)
	}
	g.mu.Lock()
	g.clients = append(g.clients, c)
	g.mu.Unlock()
	if !g.room {
		return nil
	}
	g.readers.Go(func() {
		for msg := range c.Pushes() {
			g.hear(msg)
		}
	})
	if _, err = goverseclient.Call[*benchpb.BumpResponse](ctx, c, "Enter", &benchpb.BumpRequest{}); err != nil {
		return fmt.Errorf("enter room: %w", err)
	}
	return nil
}

// addStreams opens Register streams on one new connection.
func (g *gathering) addStreams(ctx context.Context, address string, n int) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial server: %w", err)
	}
	g.mu.Lock()
	g.conns = append(g.conns, conn)
	g.mu.Unlock()
	rpc := client_pb.NewClientServiceClient(conn)
	for range n {
		stream, id, err := register(g.life, rpc) //nolint:contextcheck // it outlives the call that opens it
		if err != nil {
			return err
		}
		g.readers.Go(func() {
			for {
				packed, err := stream.Recv()
				if err != nil {
					return
				}
				if msg, err := packed.UnmarshalNew(); err == nil {
					g.hear(msg)
				}
			}
		})
		if g.room {
			l := unaryLine{rpc: rpc, id: id}
			if _, err := l.call(ctx, "Enter", &benchpb.BumpRequest{}); err != nil {
				return fmt.Errorf("enter room: %w", err)
			}
		}
	}
	return nil
}

func (g *gathering) hear(msg proto.Message) {
	if shout, ok := msg.(*benchpb.Shout); ok && g.heard != nil {
		g.heard(time.Unix(0, shout.GetSent()))
	}
}

// Shout implements [peer.Shouter].
func (g *gathering) Shout(ctx context.Context, payload int) error {
	shout := &benchpb.Shout{Sent: time.Now().UnixNano(), Payload: make([]byte, payload)}
	resp, err := goverseclient.Call[*benchpb.BumpResponse](ctx, g.speaker, "Say", shout)
	if err != nil {
		return err
	}
	if resp.GetValue() != g.members.Load() {
		return fmt.Errorf("the room has %d members of %d", resp.GetValue(), g.members.Load())
	}
	return nil
}

// Close implements [peer.Gathering].
func (g *gathering) Close(context.Context) error {
	g.cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	closed := make([]error, len(g.clients))
	var done sync.WaitGroup
	for i, c := range g.clients {
		done.Go(func() { closed[i] = c.Close() })
	}
	var errs []error
	for _, conn := range g.conns {
		errs = append(errs, conn.Close())
	}
	if g.speaker != nil {
		errs = append(errs, g.speaker.Close())
	}
	done.Wait()
	g.readers.Wait()
	return errors.Join(append(errs, closed...)...)
}
