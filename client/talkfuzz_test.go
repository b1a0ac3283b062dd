package client

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// burning is a pool whose memory is no good any more once it has been given back.
type burning struct{}

func (burning) Get(n int) *[]byte {
	b := make([]byte, n, n+4096) // gRPC gives back no less
	return &b
}

func (p burning) copyOf(b []byte) *[]byte {
	out := p.Get(len(b))
	copy(*out, b)
	return out
}

func (burning) Put(b *[]byte) {
	for i := range *b {
		(*b)[i] = 0xff
	}
}

// memoryStream is a stream of the Session rpc without gRPC.
type memoryStream struct {
	grpc.ServerStream

	ctx      context.Context
	cut      context.CancelFunc
	in       chan []byte
	returned chan struct{}

	mu  sync.Mutex
	out []*client_pb.SessionResponse // guarded by mu
}

func (m *memoryStream) Context() context.Context { return m.ctx }

func (m *memoryStream) RecvMsg(v any) error {
	select {
	case b, ok := <-m.in:
		if !ok {
			return io.EOF
		}
		v.(*inbound).data = mem.NewBuffer(burning{}.copyOf(b), burning{})
		return nil
	case <-m.ctx.Done():
		return status.FromContextError(m.ctx.Err()).Err()
	case <-m.returned:
		return status.Error(codes.Canceled, "the handler has returned")
	}
}

func (m *memoryStream) SendMsg(v any) error {
	var out client_pb.SessionResponse
	if err := proto.Unmarshal(v.(*outbound).data.Materialize(), &out); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out = append(m.out, &out)
	return m.ctx.Err()
}

// open opens a stream with a hello.
func openStream(s *Service, hello *client_pb.SessionHello) *memoryStream {
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: connAddr{&net.TCPAddr{}, &conn{}}})
	m := &memoryStream{in: make(chan []byte), returned: make(chan struct{})}
	m.ctx, m.cut = context.WithCancel(ctx)
	go func() {
		defer close(m.returned)
		_ = s.session(&grpc.GenericServerStream[client_pb.SessionRequest, client_pb.SessionResponse]{ServerStream: m})
	}()
	m.send(&client_pb.SessionRequest{Hello: hello})
	return m
}

func (m *memoryStream) send(in *client_pb.SessionRequest) {
	b, _ := proto.Marshal(in)
	m.write(b)
}

func (m *memoryStream) write(b []byte) {
	select {
	case m.in <- b:
	case <-m.returned:
	}
}

// clientID waits for the welcome.
func (m *memoryStream) clientID() string {
	for {
		m.mu.Lock()
		if len(m.out) > 0 {
			defer m.mu.Unlock()
			return m.out[0].GetWelcome().GetClientId()
		}
		m.mu.Unlock()
		select {
		case <-m.returned:
			return ""
		default:
			m.write(nil) // an empty message: the server has read the one before
		}
	}
}

// check checks what a stream was sent.
func (m *memoryStream) check(t *testing.T, calls uint64) {
	t.Helper()
	<-m.returned
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[uint64]bool{}
	last := uint64(0)
	for i, out := range m.out {
		if (i == 0) != (out.GetWelcome() != nil) {
			t.Errorf("message %d is %v", i, out)
		}
		for _, r := range out.GetReplies() {
			if r.GetCall() == 0 || r.GetCall() > calls || seen[r.GetCall()] || r.GetOutcome() == nil {
				t.Errorf("of %d calls there is the reply %v", calls, r)
			}
			seen[r.GetCall()] = true
		}
		for _, p := range out.GetPushes() {
			if last != 0 && p.GetOffset() != last+1 || p.GetOffset() == 0 {
				t.Errorf("push %d comes after %d", p.GetOffset(), last)
			}
			last = p.GetOffset()
		}
		if out.GetCallsReceived() > calls {
			t.Errorf("%d calls received, of %d", out.GetCallsReceived(), calls)
		}
	}
}

// FuzzSessions does to a service what the input says: calls, acknowledgements, cancels,
// pushes, broken streams and others that resume, and bytes as they are. Whatever it is,
// the client has each reply and push once at most on a stream, and the service stops.
func FuzzSessions(f *testing.F) {
	f.Add([]byte{1, 3, 5, 0, 2, 0, 2, 3, 2, 4, 0, 0, 1, 1, 6})
	f.Add([]byte{1, 2, 4, 0, 1, 1, 2, 4, 0, 3, 1, 3, 4, 0, 4})
	f.Add([]byte{0, 4, 0x12, 2, 8, 1, 0, 2, 0x12, 0x7f})
	f.Add([]byte{5, 0, 5, 0, 5, 0, 5, 0, 5, 0, 5, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewService(Config{Node: idleNode{}, ClientType: "Tester", Limits: Limits{QueueMessages: 4, Calls: 6}})
		m := openStream(s, &client_pb.SessionHello{})
		id := m.clientID()
		object := s.snapshot()[0].id
		streams := []*memoryStream{m}
		calls := uint64(0)
		next := func() (v byte) {
			if len(b) > 0 {
				v, b = b[0], b[1:]
			}
			return v
		}
		for len(b) > 0 {
			switch next() % 7 {
			case 0:
				n := min(int(next()), len(b))
				m.write(b[:n])
				b = b[n:]
				calls = 1 << 62 // who knows
			case 1:
				in := &client_pb.SessionRequest{}
				for range next() % 4 {
					calls++
					in.Calls = append(in.Calls, &client_pb.SessionCall{Number: calls, Method: "Say"})
				}
				m.send(in)
			case 2:
				m.send(&client_pb.SessionRequest{PushesTaken: uint64(next()), RepliesTaken: uint64(next())})
			case 3:
				m.send(&client_pb.SessionRequest{Cancels: []uint64{uint64(next())}})
			case 4:
				m.cut()
				<-m.returned
				m = openStream(s, &client_pb.SessionHello{ClientId: id, Pushes: uint64(next()), Replies: uint64(next())})
				streams = append(streams, m)
				m.clientID()
			case 5:
				_ = s.Push(t.Context(), object, wrapperspb.String("x"))
			case 6:
				m.send(&client_pb.SessionRequest{Close: true})
			}
		}
		m.cut()
		<-m.returned
		if err := s.Stop(t.Context()); err != nil || s.Clients() != 0 || s.detached.len() != 0 {
			t.Errorf("stop: %v, with %d clients and %d that wait", err, s.Clients(), s.detached.len())
		}
		for _, m := range streams {
			m.check(t, calls)
		}
	})
}
