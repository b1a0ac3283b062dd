package echo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

const (
	streamsService = "goverse.bench.Streams"
	listenMethod   = "/" + streamsService + "/Listen"
	sayMethod      = "/" + streamsService + "/Say"
	// waiting is how many messages may wait for one stream.
	waiting = 16
)

// Streams are members that each hold a gRPC server stream, with gRPC's defaults: so many on each connection, shared out
// among so many servers. What is said goes to every server by a unary call, and from there to each stream by a goroutine
// of its own.
func Streams(servers, perConn int) peer.Crowd { return streams{servers: servers, perConn: perConn} }

type streams struct{ servers, perConn int }

func (s streams) Name() string {
	if s.perConn == 1 {
		return "bare gRPC stream"
	}
	return "bare gRPC streams"
}

func (streams) Module() string { return grpcModule }
func (s streams) Servers() int { return s.servers }

func (streams) Serve(ctx context.Context, _ []string, _ int) (peer.Server, error) {
	g := grpc.NewServer()
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: streamsService, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: say}},
		Streams: []grpc.StreamDesc{{StreamName: "Listen", ServerStreams: true, Handler: listenTo}},
	}, &hall{streams: map[chan *benchpb.Shout]struct{}{}})
	return listen(ctx, g)
}

// hall is the state of a server.
type hall struct {
	mu      sync.Mutex // guards streams
	streams map[chan *benchpb.Shout]struct{}
}

func hallOf(srv any) (*hall, error) {
	h, ok := srv.(*hall)
	if !ok {
		return nil, fmt.Errorf("%T is not a hall", srv)
	}
	return h, nil
}

// say gives a message to all streams. It is what generated code does for a service without interceptors.
//
//nolint:revive // gRPC fixes the order of the arguments
func say(srv any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	h, err := hallOf(srv)
	if err != nil {
		return nil, err
	}
	shout := new(benchpb.Shout)
	if err := decode(shout); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		select {
		case s <- shout:
		default:
			return nil, errors.New("a stream is not read")
		}
	}
	return &benchpb.BumpResponse{Value: int64(len(h.streams))}, nil
}

// listenTo serves one stream. Its first message says that it is in.
func listenTo(srv any, stream grpc.ServerStream) error {
	h, err := hallOf(srv)
	if err != nil {
		return err
	}
	if err := stream.RecvMsg(new(benchpb.BumpRequest)); err != nil {
		return err
	}
	own := make(chan *benchpb.Shout, waiting)
	h.mu.Lock()
	h.streams[own] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.streams, own)
		h.mu.Unlock()
	}()
	if err := stream.SendMsg(&benchpb.Shout{}); err != nil {
		return err
	}
	for {
		select {
		case shout := <-own:
			if err := stream.SendMsg(shout); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (s streams) Gather(ctx context.Context, before []string) (peer.Gathering, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g := &streamsGathering{perConn: s.perConn, addresses: before, life: life, cancel: cancel}
	for _, address := range before {
		conn, err := g.dial(address)
		if err != nil {
			return nil, errors.Join(err, g.Close(ctx))
		}
		g.speakers = append(g.speakers, conn)
	}
	return g, nil
}

// streamsGathering is the driver. Each stream has a goroutine that reads it.
type streamsGathering struct {
	perConn   int
	addresses []string
	speakers  []*grpc.ClientConn
	heard     func(said time.Time)
	life      context.Context //nolint:containedctx // the life of all streams, ended by Close
	cancel    context.CancelFunc
	readers   sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns []*grpc.ClientConn
}

func (g *streamsGathering) dial(address string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("dial server: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns = append(g.conns, conn)
	return conn, nil
}

// Hear implements [peer.Shouter].
func (g *streamsGathering) Hear(heard func(said time.Time)) { g.heard = heard }

// Add implements [peer.Gathering]: the connections take turns between the servers.
func (g *streamsGathering) Add(ctx context.Context, members int) error {
	const atOnce = 32
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := 0; i < members; i += g.perConn {
		address := g.addresses[(i/g.perConn)%len(g.addresses)]
		group.Go(func() error {
			conn, err := g.dial(address)
			if err != nil {
				return err
			}
			for range min(g.perConn, members-i) {
				if err := g.listen(ctx, conn); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// listen opens a stream, and reads it from then on.
func (g *streamsGathering) listen(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := conn.NewStream(g.life, //nolint:contextcheck // it outlives the call that opens it
		&grpc.StreamDesc{ServerStreams: true}, listenMethod)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	err = errors.Join(stream.SendMsg(&benchpb.BumpRequest{}), stream.CloseSend(), stream.RecvMsg(new(benchpb.Shout)), ctx.Err())
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	g.readers.Go(func() {
		for {
			shout := new(benchpb.Shout)
			if err := stream.RecvMsg(shout); err != nil {
				return
			}
			if g.heard != nil {
				g.heard(time.Unix(0, shout.GetSent()))
			}
		}
	})
	return nil
}

// Shout implements [peer.Shouter].
func (g *streamsGathering) Shout(ctx context.Context, payload int) error {
	shout := &benchpb.Shout{Sent: time.Now().UnixNano(), Payload: make([]byte, payload)}
	group, ctx := errgroup.WithContext(ctx)
	for _, conn := range g.speakers {
		group.Go(func() error { return conn.Invoke(ctx, sayMethod, shout, new(benchpb.BumpResponse)) })
	}
	return group.Wait()
}

// Close implements [peer.Gathering].
func (g *streamsGathering) Close(context.Context) error {
	g.cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for _, conn := range g.conns {
		errs = append(errs, conn.Close())
	}
	g.readers.Wait()
	return errors.Join(errs...)
}
