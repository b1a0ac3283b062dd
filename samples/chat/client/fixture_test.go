package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// patience is how long a test waits for what must come: only a failing test uses it.
const patience = 30 * time.Second

// serverBinary is the real chat server, built once.
var serverBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "chat-client-test")
	if err != nil {
		panic(err)
	}
	serverBinary = filepath.Join(dir, "chat-server")
	if runtime.GOOS == "windows" {
		serverBinary += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", serverBinary, "../server").CombinedOutput(); err != nil {
		panic(string(out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// chatServer is a real server in a process of its own.
type chatServer struct {
	t    *testing.T
	addr string // for clients
	cmd  *exec.Cmd
	done chan error
}

var readyLine = regexp.MustCompile(`msg="server ready".* client_addr=(\S+)`)

// startServer starts a server with a given port for clients, ":0" for any.
func startServer(t *testing.T, clientAddr string) *chatServer {
	t.Helper()
	cmd := exec.Command(serverBinary, "-listen", "localhost:0", "-client-listen", clientAddr, "-etcd", "memory:")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &chatServer{t: t, cmd: cmd, done: make(chan error, 1)}
	ready := make(chan string, 1)
	go func() {
		for log := bufio.NewScanner(stderr); log.Scan(); {
			if found := readyLine.FindStringSubmatch(log.Text()); found != nil {
				ready <- found[1]
			}
		}
		close(ready)
		s.done <- cmd.Wait()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-s.done; close(s.done) })
	select {
	case s.addr = <-ready:
	case <-time.After(patience):
	}
	if s.addr == "" {
		t.Fatal("the server has not become ready")
	}
	return s
}

// stop stops the server as a service manager does.
func (s *chatServer) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
		s.done <- nil // for the cleanup
	case <-time.After(patience):
		s.t.Fatal("the server does not stop")
	}
}

// session is a run of the client with a user at it.
type session struct {
	t    *testing.T
	in   *io.PipeWriter
	out  *transcript
	done chan error // gets what talk returns
}

// testOptions are those of a user in a pipe, who reconnects without a pause.
func testOptions(server, user string) options {
	return options{
		servers: strings.Split(server, ","), user: user, location: time.UTC, callTimeout: patience,
		pause: func(int) time.Duration { return time.Millisecond },
	}
}

func startSession(t *testing.T, opts options) *session {
	t.Helper()
	r, w := io.Pipe()
	s := &session{t: t, in: w, out: newTranscript(), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		err := talk(ctx, opts, r, s.out)
		_ = r.Close()
		s.done <- err
		close(s.done)
	}()
	t.Cleanup(func() { cancel(); _ = w.Close(); <-s.done })
	return s
}

// types types lines.
func (s *session) types(lines ...string) {
	s.t.Helper()
	for _, l := range lines {
		if _, err := io.WriteString(s.in, l+"\n"); err != nil {
			s.t.Fatalf("type %q: %v", l, err)
		}
	}
}

// sees waits until the user sees a text, after what was waited for before.
func (s *session) sees(text string) {
	s.t.Helper()
	if !s.out.wait(text) {
		s.t.Fatalf("the user does not see %q. All output:\n%s", text, s.out.all())
	}
}

// ends waits for the end of the client and returns its outcome and all its output,
// without times.
func (s *session) ends() (string, error) {
	s.t.Helper()
	select {
	case err := <-s.done:
		return s.out.all(), err
	case <-time.After(patience):
		s.t.Fatalf("the client does not end. All output:\n%s", s.out.all())
		return "", nil
	}
}

// transcript is an output that can be waited on.
type transcript struct {
	mu      sync.Mutex
	text    strings.Builder // guarded by mu
	read    int             // guarded by mu: how much was waited for
	changed chan struct{}   // guarded by mu: closed and replaced with every write
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

// Write implements [io.Writer].
func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(p)
}

func (o *transcript) wait(text string) bool {
	deadline := time.After(patience)
	for {
		o.mu.Lock()
		at := strings.Index(o.text.String()[o.read:], text)
		if at >= 0 {
			o.read += at + len(text)
		}
		changed := o.changed
		o.mu.Unlock()
		if at >= 0 {
			return true
		}
		select {
		case <-changed:
		case <-deadline:
			return false
		}
	}
}

var clockTime = regexp.MustCompile(`\[\d\d:\d\d:\d\d\]`)

func (o *transcript) all() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return clockTime.ReplaceAllString(o.text.String(), "[time]")
}

// fakeServer is a client service that does what a test says. Its sessions cannot be resumed.
type fakeServer struct {
	client_pb.UnimplementedClientServiceServer

	addr     string
	register func(attempt int, stream *fakeStream) error // after the welcome
	call     func(ctx context.Context, method string, req *anypb.Any) (proto.Message, error)

	mu       sync.Mutex
	attempts int // guarded by mu
}

// fakeStream is the stream of a session of a fakeServer.
type fakeStream struct {
	grpc.BidiStreamingServer[client_pb.SessionRequest, client_pb.SessionResponse]

	ctx    context.Context // ends with the stream, and when the client closes it
	mu     sync.Mutex
	pushes uint64 // guarded by mu
}

func (s *fakeStream) Context() context.Context { return s.ctx }

func startFake(t *testing.T, f *fakeServer) *fakeServer {
	t.Helper()
	lis, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = lis.Addr().String()
	g := grpc.NewServer()
	client_pb.RegisterClientServiceServer(g, f)
	done := make(chan error, 1)
	go func() { done <- g.Serve(lis) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return f
}

// Session implements the service.
func (f *fakeServer) Session(str grpc.BidiStreamingServer[client_pb.SessionRequest, client_pb.SessionResponse]) error {
	f.mu.Lock()
	attempt := f.attempts
	f.attempts++
	f.mu.Unlock()
	if err := str.Send(&client_pb.SessionResponse{Welcome: &client_pb.SessionWelcome{ClientId: "secret"}}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(str.Context())
	defer cancel()
	s := &fakeStream{BidiStreamingServer: str, ctx: ctx}
	go func() {
		defer cancel()
		for {
			in, err := str.Recv()
			if err != nil || in.GetClose() {
				return
			}
			for _, c := range in.GetCalls() {
				go f.answer(s, c)
			}
		}
	}()
	if f.register == nil {
		<-ctx.Done()
		return nil
	}
	return f.register(attempt, s)
}

func (f *fakeServer) answer(s *fakeStream, c *client_pb.SessionCall) {
	msg, err := proto.Message(nil), errors.New("no call is expected")
	if f.call != nil {
		msg, err = f.call(s.ctx, c.GetMethod(), c.GetRequest())
	}
	packed := &anypb.Any{}
	if err == nil {
		packed, err = anypb.New(msg)
	}
	reply := &client_pb.SessionReply{Call: c.GetNumber(), Outcome: &client_pb.SessionReply_Response{Response: packed}}
	if err != nil {
		st := status.Convert(err)
		reply.Outcome = &client_pb.SessionReply_Error{Error: &client_pb.SessionError{Code: int32(st.Code()), Message: st.Message()}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.Send(&client_pb.SessionResponse{Replies: []*client_pb.SessionReply{reply}})
}

func push(s *fakeStream, msg proto.Message) error {
	packed, err := anypb.New(msg)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushes++
	return s.Send(&client_pb.SessionResponse{Pushes: []*client_pb.SessionPush{{Offset: s.pushes, Message: packed}}})
}
