package server_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

// wantEnd waits for the end of a client's stream.
func wantEnd(t *testing.T, c *goverseclient.Client, sentinel *object.Error, says string) {
	t.Helper()
	receive(t, c.Done(), "the end of the stream")
	if err := c.Err(); object.CodeOf(err) != sentinel.Code || !strings.Contains(err.Error(), says) {
		t.Errorf("the stream ended with %v, want %v and %q", err, sentinel.Code, says)
	}
}

func TestOnConnectRefuses(t *testing.T) {
	t.Parallel()
	f := start(t)
	refusal := object.NewError(object.CodePermissionDenied, "members only")
	refusal.Reason = "NotAMember"
	f.probe.refuseClients(refusal)
	_, err := goverseclient.Dial(t.Context(), f.ClientAddr())
	e := object.FromError(err)
	if e.Code != object.CodePermissionDenied || e.Message != "members only" || e.Reason != "NotAMember" {
		t.Errorf("dial: %v, want %v", err, refusal)
	}
	f.probe.refuseClients(nil)
	whoami(t, f.dial(t))
	if err := f.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.probe.noted(); !slices.Equal(got, []string{"connect", "connect", "disconnect stopping"}) {
		t.Errorf("%q, want nothing left of the client that was refused", got)
	}
}

// pipe makes calls of one client over one connection without waiting for replies.
type pipe struct {
	id   string
	conn *grpc.ClientConn
}

func (f *fixture) pipe(t *testing.T) *pipe {
	t.Helper()
	conn, err := grpc.NewClient(f.ClientAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &pipe{f.connect(t).id, conn}
}

// send makes a call; reply waits for its reply.
func (p *pipe) send(t *testing.T, method string, request proto.Message) (reply func(proto.Message)) {
	t.Helper()
	stream, err := p.conn.NewStream(t.Context(), &grpc.StreamDesc{}, client_pb.ClientService_Call_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&client_pb.CallRequest{ClientId: p.id, Method: method, Request: pack(t, request)}); err != nil {
		t.Fatal(err)
	}
	return func(to proto.Message) {
		t.Helper()
		var out client_pb.CallResponse
		if err := stream.RecvMsg(&out); err != nil {
			t.Fatal(err)
		}
		if err := out.GetResponse().UnmarshalTo(to); err != nil {
			t.Fatal(err)
		}
	}
}

// Calls that are made one after the other, and calls that are in flight at once.
func TestCallsOfOneClientKeepTheirOrder(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, atOnce := range []int{1, 2, 40, 200, 200} {
		t.Run(strconv.Itoa(atOnce), func(t *testing.T) {
			t.Parallel()
			p := f.pipe(t)
			const calls = 400
			for from := 0; from < calls; from += atOnce {
				var replies []func(proto.Message)
				for i := range atOnce {
					replies = append(replies, p.send(t, "Append", wrapperspb.String(boxNo(from+i))))
				}
				for i, reply := range replies {
					var n number
					if reply(&n); n.GetValue() != int64(from+i+1) {
						t.Errorf("call %d was number %d", from+i, n.GetValue())
					}
				}
			}
			for i := range calls {
				var s text
				if p.send(t, "Appended", wrapperspb.Int64(int64(i)))(&s); s.GetValue() != boxNo(i) {
					t.Errorf("call %d was %q", i, s.GetValue())
				}
			}
		})
	}
}

// A client's object is never run by two calls at a time, and loses none.
func TestConcurrentCallsOfOneClient(t *testing.T) {
	t.Parallel()
	f := start(t)
	c := f.dial(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := goverseclient.Call[*number](t.Context(), c, "Append", nil); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	wg.Wait()
	if n, err := goverseclient.Call[*number](t.Context(), c, "Append", nil); err != nil || n.GetValue() != 51 {
		t.Errorf("%v calls, %v, want 51", n, err)
	}
}

func TestPushes(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, other := f.dial(t), f.dial(t)
	id := whoami(t, c)
	if err := f.PushMessage(t.Context(), id, wrapperspb.String("from outside")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.CallObject(t.Context(), "Box-1", "Tell", wrapperspb.String(id)); err != nil {
		t.Fatal(err)
	}
	if _, err := goverseclient.Call[*empty](t.Context(), c, "PushSelf", wrapperspb.String("from itself")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"from outside", "from Box-1", "from itself"} {
		if got := receive(t, c.Pushes(), want).(*text).GetValue(); got != want {
			t.Errorf("pushed %q, want %q", got, want)
		}
	}
	wantError(t, "push of nothing", f.PushMessage(t.Context(), id, nil), object.ErrInvalidArgument, object.ExecutedNo)
	wantError(t, "push to a bad ID", f.PushMessage(t.Context(), "User", wrapperspb.String("")), object.ErrInvalidArgument, object.ExecutedNo)
	wantError(t, "push to an object", f.PushMessage(t.Context(), "Box-1", wrapperspb.String("")), object.ErrInvalidArgument, object.ExecutedNo)
	wantError(t, "push to no type", f.PushMessage(t.Context(), "Nothing-1", wrapperspb.String("")), object.ErrNotRegistered, object.ExecutedNo)
	wantError(t, "push to nobody", f.PushMessage(t.Context(), "User-nobody", wrapperspb.String("")), object.ErrNotFound, object.ExecutedNo)
	select {
	case got := <-other.Pushes():
		t.Errorf("another client got %v", got)
	default:
	}
	without := start(t, withoutClients)
	wantError(t, "push without clients", without.PushMessage(t.Context(), id, wrapperspb.String("")), object.ErrNotFound, object.ExecutedNo)
	if err := without.DeleteObject(t.Context(), id); err != nil {
		t.Errorf("delete a client's object without clients: %v", err)
	}
}

func TestDeleteKicksTheClient(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, other := f.dial(t), f.dial(t)
	id := whoami(t, c)
	if err := f.PushMessage(t.Context(), id, wrapperspb.String("goodbye")); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteObject(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, c.Pushes(), "what was pushed before"); got.(*text).GetValue() != "goodbye" {
		t.Errorf("pushed %v", got)
	}
	wantEnd(t, c, object.ErrAborted, "deleted")
	f.probe.await(t, "disconnect kicked")
	if err := f.DeleteObject(t.Context(), id); err != nil {
		t.Errorf("delete again: %v", err)
	}
	_, err := goverseclient.Call[*empty](t.Context(), c, "Whoami", nil)
	wantError(t, "call of the kicked", err, object.ErrUnavailable, object.ExecutedNo)

	if _, err := goverseclient.Call[*empty](t.Context(), other, "KickMe", nil); err != nil {
		t.Errorf("the call that deleted its own object: %v", err)
	}
	wantEnd(t, other, object.ErrAborted, "deleted")
}

func TestCloseDisconnects(t *testing.T) {
	t.Parallel()
	f := start(t)
	if err := f.dial(t).Close(); err != nil {
		t.Fatal(err)
	}
	f.probe.await(t, "disconnect closed")
}

func TestPanicOfAClientsMethod(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, other := f.dial(t), f.dial(t)
	id := whoami(t, c)
	_, err := goverseclient.Call[*empty](t.Context(), c, "Panic", nil)
	wantError(t, "the call", err, object.ErrInternal, object.ExecutedYes)
	if strings.Contains(err.Error(), "a client's method") {
		t.Errorf("%v tells the client what the panic said", err)
	}
	wantEnd(t, c, object.ErrUnavailable, "failed: register again")
	whoami(t, other)
	if again := whoami(t, f.dial(t)); again == id {
		t.Errorf("a new client has the ID %s of the old one", id)
	}
	if log := f.log.String(); !strings.Contains(log, "a client's method") || !strings.Contains(log, "goroutine ") {
		t.Errorf("the log does not tell panic and stack:\n%s", log)
	}
}

func TestOthersCallAClientsObject(t *testing.T) {
	t.Parallel()
	f := start(t)
	c := f.dial(t)
	id := whoami(t, c)
	out, err := f.CallObject(t.Context(), id, "Echo", wrapperspb.String("hello"))
	if err != nil || out.(*text).GetValue() != "hello" {
		t.Errorf("call while it is connected: %v, %v", out, err)
	}
	_, err = f.CreateObject(t.Context(), "User", id, nil)
	wantError(t, "create", err, object.ErrInvalidArgument, object.ExecutedNo)
	_, err = f.CreateObject(t.Context(), "User", "", nil)
	wantError(t, "create with a generated ID", err, object.ErrInvalidArgument, object.ExecutedNo)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	f.probe.await(t, "disconnect closed")
	for deadline := 0; ; deadline++ { // the object goes right after its last hook
		_, err = f.CallObject(t.Context(), id, "Echo", wrapperspb.String("hello"))
		if err != nil || deadline > 1e6 {
			break
		}
	}
	wantError(t, "call afterwards", err, object.ErrNotFound, object.ExecutedNo)
	_, err = f.CallObject(t.Context(), "User-never", "Echo", nil)
	wantError(t, "call of nobody", err, object.ErrNotFound, object.ExecutedNo)
}

// Errors of objects reach the client through its own object.
func TestErrorsCrossTwoHops(t *testing.T) {
	t.Parallel()
	f := start(t)
	c := f.dial(t)
	n, err := goverseclient.Call[*number](t.Context(), c, "AddTo", wrapperspb.String("Box-1"))
	if err != nil || n.GetValue() != 1 {
		t.Errorf("add: %v, %v", n, err)
	}
	_, err = goverseclient.Call[*number](t.Context(), c, "AddTo", wrapperspb.String("Nothing-1"))
	wantError(t, "an object of no type", err, object.ErrNotRegistered, object.ExecutedYes)
	_, err = goverseclient.Call[*number](t.Context(), c, "AddTo", wrapperspb.String("nonsense"))
	wantError(t, "no ID", err, object.ErrInvalidArgument, object.ExecutedYes)
	_, err = goverseclient.Call[*empty](t.Context(), c, "Fail", wrapperspb.String("100% für Ümläute\n"))
	wantError(t, "an application's error", err, object.ErrAborted, object.ExecutedYes)
	if got := object.FromError(err).Message; got != "100% für Ümläute\n" {
		t.Errorf("message %q", got)
	}
}
