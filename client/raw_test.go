package client_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// inMemory lets the server listen where no system call is needed, so that it can run
// in a synctest bubble. Clients reach it by [fixture.dialRaw].
func inMemory(_ *client.Config, f *fixture) (none credentials.TransportCredentials) {
	f.listener = bufconn.Listen(1 << 20)
	return none
}

// rawConn is a client that puts the frames of its rpcs on the wire one by one. It is
// used by one goroutine.
type rawConn struct {
	t       *testing.T
	conn    net.Conn
	fr      *http2.Framer
	block   bytes.Buffer
	enc     *hpack.Encoder
	next    uint32
	answers map[uint32]*rawAnswer
	pongs   int

	id     string // the secret of its client, once it is registered
	object string
}

// rawAnswer is what came back on a stream.
type rawAnswer struct {
	status string // grpc-status; a code of RST_STREAM where there is none
	body   []byte
	over   bool
}

func (f *fixture) dialRaw() *rawConn {
	f.t.Helper()
	conn, err := f.rawSocket()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	r := &rawConn{t: f.t, conn: conn, fr: http2.NewFramer(conn, conn), next: 1, answers: map[uint32]*rawAnswer{}}
	r.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.enc = hpack.NewEncoder(&r.block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		f.t.Fatal(err)
	}
	r.must(r.fr.WriteSettings())
	return r
}

func (f *fixture) rawSocket() (net.Conn, error) {
	if l, ok := f.listener.(*bufconn.Listener); ok {
		return l.Dial()
	}
	return net.Dial("tcp", f.addr)
}

func (r *rawConn) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// register opens the Register stream of the connection's client.
func (r *rawConn) register() {
	r.t.Helper()
	stream := r.headers(client_pb.ClientService_Register_FullMethodName)
	r.data(stream, &client_pb.Empty{})
	for len(r.answer(stream).body) == 0 {
		r.read()
	}
	var first anypb.Any
	var hello client_pb.RegisterResponse
	r.must(proto.Unmarshal(r.answer(stream).body[5:], &first))
	r.must(first.UnmarshalTo(&hello))
	r.id = hello.GetClientId()
	r.object = r.reply(r.call("Who", ""))
}

// headers begins an rpc.
func (r *rawConn) headers(method string, extra ...hpack.HeaderField) (stream uint32) {
	r.t.Helper()
	stream, r.next = r.next, r.next+2
	r.block.Reset()
	for _, field := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: method},
		{Name: ":authority", Value: "test"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	}, extra...) {
		r.must(r.enc.WriteField(field))
	}
	r.must(r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: r.block.Bytes(), EndHeaders: true}))
	return stream
}

// begin begins a Call, whose request comes later or never.
func (r *rawConn) begin(extra ...hpack.HeaderField) (stream uint32) {
	r.t.Helper()
	return r.headers(client_pb.ClientService_Call_FullMethodName, extra...)
}

// data sends a request, and that it is all.
func (r *rawConn) data(stream uint32, msg proto.Message) {
	r.t.Helper()
	body, err := proto.Marshal(msg)
	r.must(err)
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body)))
	r.must(r.fr.WriteData(stream, true, append(head, body...)))
}

// ask sends the request of a Call that has begun.
func (r *rawConn) ask(stream uint32, method, word string) {
	r.t.Helper()
	r.data(stream, &client_pb.CallRequest{ClientId: r.id, Method: method, Request: pack(r.t, wrapperspb.String(word))})
}

// call sends a whole Call and does not wait for its answer.
func (r *rawConn) call(method, word string) (stream uint32) {
	r.t.Helper()
	stream = r.begin()
	r.ask(stream, method, word)
	return stream
}

// settle returns when the server has read everything that was sent.
func (r *rawConn) settle() {
	r.t.Helper()
	r.must(r.fr.WritePing(false, [8]byte{}))
	for want := r.pongs + 1; r.pongs < want; {
		r.read()
	}
}

// end waits for the end of an rpc and returns its status.
func (r *rawConn) end(stream uint32) (status string) {
	r.t.Helper()
	for !r.answer(stream).over {
		r.read()
	}
	return r.answer(stream).status
}

// reply waits for the reply of a Call.
func (r *rawConn) reply(stream uint32) (word string) {
	r.t.Helper()
	if status := r.end(stream); status != "0" {
		r.t.Fatalf("the call ended with status %s", status)
	}
	var out client_pb.CallResponse
	r.must(proto.Unmarshal(r.answer(stream).body[5:], &out))
	return text(r.t, out.GetResponse())
}

func (r *rawConn) answer(stream uint32) *rawAnswer {
	if r.answers[stream] == nil {
		r.answers[stream] = &rawAnswer{}
	}
	return r.answers[stream]
}

// read reads one frame.
func (r *rawConn) read() {
	r.t.Helper()
	frame, err := r.fr.ReadFrame()
	r.must(err)
	a := r.answer(frame.Header().StreamID)
	switch frame := frame.(type) {
	case *http2.DataFrame:
		a.body = append(a.body, frame.Data()...)
	case *http2.MetaHeadersFrame:
		for _, field := range frame.Fields {
			if field.Name == "grpc-status" {
				a.status = field.Value
			}
		}
		a.over = a.over || frame.StreamEnded()
	case *http2.RSTStreamFrame:
		if !a.over {
			a.status, a.over = frame.ErrCode.String(), true
		}
	case *http2.PingFrame:
		if frame.IsAck() {
			r.pongs++
		}
	}
}
