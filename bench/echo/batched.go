package echo

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/xiaonanln/goverse/bench/peer"
)

const (
	grpcModule   = "google.golang.org/grpc"
	batchService = "goverse.bench.Batched"
	batchMethod  = "/" + batchService + "/Echo"
	// window and ioBuffer are gRPC's flow control windows and socket buffers: larger than all that is ever under way.
	window   = 16 << 20
	ioBuffer = 128 << 10
)

// Batched is the echo over one gRPC stream of many frames in a message.
func Batched() peer.Remote { return batched{} }

type batched struct{}

func (batched) Name() string   { return "batched gRPC echo" }
func (batched) Module() string { return grpcModule }
func (batched) Servers() int   { return 1 }

func (batched) Serve(ctx context.Context, _ []string, _ peer.RemoteOptions) (peer.Server, error) {
	return serveBatched(ctx, answer)
}

// serveBatched serves the stream of messages, each answered by one of what answer makes of its frames.
func serveBatched(ctx context.Context, answer answering) (peer.Server, error) {
	s := grpc.NewServer(grpc.ForceServerCodecV2(newPassthrough()), grpc.MaxRecvMsgSize(window), grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
		grpc.ReadBufferSize(ioBuffer), grpc.WriteBufferSize(ioBuffer))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: batchService, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "Echo", ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return answerAll(stream, answer) },
		}},
	}, struct{}{})
	return listen(ctx, s)
}

// answering appends the answers to all whole frames of in, and returns what is left of it.
type answering func(out, in []byte) (answers, rest []byte)

// answerAll answers every message with one message.
func answerAll(stream grpc.ServerStream, answer answering) error {
	var pool pool
	for {
		var m message
		if err := stream.RecvMsg(&m); err != nil {
			return nil //nolint:nilerr // the client has gone, however it went
		}
		out := pool.Get(0)
		var rest []byte
		*out, rest = answer(*out, m.data.ReadOnlyData())
		m.data.Free()
		if len(rest) > 0 {
			return errFrame
		}
		if err := stream.SendMsg(&message{data: mem.NewBuffer(out, &pool)}); err != nil {
			return err
		}
	}
}

func (batched) Drive(ctx context.Context, before []string, opt peer.RemoteOptions) (peer.Driver, error) {
	return driveBatched(ctx, before[0], opt)
}

func driveBatched(ctx context.Context, address string, opt peer.RemoteOptions) (*batchDriver, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newPassthrough()), grpc.MaxCallRecvMsgSize(window)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithReadBufferSize(ioBuffer), grpc.WithWriteBufferSize(ioBuffer))
	if err != nil {
		return nil, fmt.Errorf("dial server: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, batchMethod)
	if err != nil {
		cancel()
		_ = conn.Close()
		return nil, fmt.Errorf("open stream: %w", err)
	}
	d := &batchDriver{callers: newCallers(opt), conn: conn, cancel: cancel, stop: make(chan struct{})}
	d.done.Go(func() { d.write(stream) })
	d.done.Go(func() { d.read(stream) })
	return d, nil
}

type batchDriver struct {
	*callers

	conn   *grpc.ClientConn
	cancel context.CancelFunc // ends the stream
	stop   chan struct{}      // ends the writer
	done   sync.WaitGroup
}

func (d *batchDriver) Context(ctx context.Context) context.Context { return ctx }

func (d *batchDriver) Call(_ context.Context, caller, _ int) (int64, error) { return d.call(caller) }

func (d *batchDriver) Resize(payload int) { d.stamps.Resize(payload) }

func (d *batchDriver) write(stream grpc.ClientStream) {
	var pool pool
	for {
		full := d.take(d.stop, pool.Get(0))
		if full == nil {
			return
		}
		if err := stream.SendMsg(&message{data: mem.NewBuffer(full, &pool)}); err != nil {
			return // the reader sees why, and fails the callers
		}
	}
}

func (d *batchDriver) read(stream grpc.ClientStream) {
	defer d.fail()
	for {
		var m message
		if err := stream.RecvMsg(&m); err != nil {
			return
		}
		rest, err := d.deliver(m.data.ReadOnlyData())
		m.data.Free()
		if err != nil || len(rest) > 0 {
			return
		}
	}
}

func (d *batchDriver) Close(context.Context) error {
	close(d.stop)
	d.cancel()
	err := d.conn.Close()
	d.done.Wait()
	return err
}

// message is what goes through the passthrough codec.
type message struct{ data mem.Buffer }

// passthrough moves bytes between a message and the wire, and copies nothing that arrives in one piece.
type passthrough struct{ pool *pool }

func newPassthrough() passthrough { return passthrough{pool: &pool{}} }

func (passthrough) Name() string { return "goverse-bench-passthrough" }

func (passthrough) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", v)
	}
	return mem.BufferSlice{m.data}, nil
}

func (p passthrough) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return fmt.Errorf("%T is not a message", v)
	}
	m.data = data.MaterializeToBuffer(p.pool)
	return nil
}

// pool keeps buffers of any capacity: a connection has a few of them. Unlike gRPC's own it does not clear them.
type pool struct{ free sync.Pool }

// Get returns a buffer of a length, with what was in it before.
func (p *pool) Get(length int) *[]byte {
	b, ok := p.free.Get().(*[]byte)
	if !ok {
		b = new([]byte)
	}
	if cap(*b) < length || cap(*b) == 0 {
		*b = make([]byte, max(2*length, 16<<10))
	}
	*b = (*b)[:length]
	return b
}

// Put takes a buffer back.
func (p *pool) Put(b *[]byte) { p.free.Put(b) }

// server is a gRPC server on a loopback port.
type server struct {
	grpc    *grpc.Server
	address string
	done    chan struct{}
}

func listen(ctx context.Context, s *grpc.Server) (peer.Server, error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	out := &server{grpc: s, address: lis.Addr().String(), done: make(chan struct{})}
	go func() {
		defer close(out.done)
		_ = s.Serve(lis) // it ends by Close
	}()
	return out, nil
}

func (s *server) Tell() string { return s.address }

func (s *server) Close(context.Context) error {
	s.grpc.Stop()
	<-s.done
	return nil
}
