package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/goverseapi"
	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come: only a failing test uses it.
const patience = 30 * time.Second

// world is a chat server inside the test.
type world struct {
	*goverseapi.Server

	t   *testing.T
	log *events
}

// newWorld starts a server that is alone in its cluster.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newServer(t, rand.Text())
}

// newServer starts a server of a cluster inside the test, with a registry of its own.
func newServer(t *testing.T, cluster string) *world {
	t.Helper()
	types := goverseapi.NewRegistry()
	err := errors.Join(
		types.RegisterClientType((*ChatClient)(nil)),
		types.RegisterObjectType((*ChatRoom)(nil), roomOptions()...),
		types.RegisterObjectType((*ChatRoomMgr)(nil), mgrOptions()...),
	)
	if err != nil {
		t.Fatalf("register: %v", err)
	}
	log := &events{changed: make(chan struct{})}
	server := goverseapi.NewServer(&goverseapi.ServerConfig{
		ListenAddress: "localhost:0", ClientListenAddress: "localhost:0", Etcd: []string{"memory:"}, Cluster: cluster, Shards: 64,
		Registry: types, Logger: slog.New(log),
	})
	if _, err := server.CreateObject(t.Context(), "ChatRoomMgr", mgrID, nil); err != nil {
		t.Fatalf("create the list of rooms: %v", err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return &world{server, t, log}
}

// guest is a connected client.
type guest struct {
	*goverseclient.Client

	t *testing.T
}

func (w *world) connect(opts ...goverseclient.Option) *guest {
	w.t.Helper()
	c, err := goverseclient.Dial(w.t.Context(), w.ClientAddr(), opts...)
	if err != nil {
		w.t.Fatalf("dial: %v", err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return &guest{c, w.t}
}

// member connects a client and lets it join a room.
func (w *world) member(room, name string) *guest {
	w.t.Helper()
	g := w.connect()
	g.join(room, name)
	return g
}

func (g *guest) tryJoin(room, name string) (*chat_pb.Client_JoinChatRoomResponse, error) {
	return goverseclient.Call[*chat_pb.Client_JoinChatRoomResponse](
		g.t.Context(), g.Client, "Join", &chat_pb.Client_JoinChatRoomRequest{RoomName: room, UserName: name})
}

func (g *guest) join(room, name string) []*chat_pb.ChatMessage {
	g.t.Helper()
	joined, err := g.tryJoin(room, name)
	if err != nil {
		g.t.Fatalf("join %q as %q: %v", room, name, err)
	}
	if joined.GetRoomName() != room {
		g.t.Errorf("joined %q, and the answer is of %q", room, joined.GetRoomName())
	}
	return joined.GetRecentMessages()
}

func (g *guest) trySend(room, name, text string) error {
	_, err := goverseclient.Call[*chat_pb.Client_SendChatMessageResponse](
		g.t.Context(), g.Client, "SendMessage", &chat_pb.Client_SendChatMessageRequest{RoomName: room, UserName: name, Message: text})
	return err
}

func (g *guest) send(room, text string) {
	g.t.Helper()
	if err := g.trySend(room, "", text); err != nil {
		g.t.Fatalf("send to %q: %v", room, err)
	}
}

func (g *guest) tryPoll(room string, after int64) ([]*chat_pb.ChatMessage, error) {
	got, err := goverseclient.Call[*chat_pb.Client_GetRecentMessagesResponse](
		g.t.Context(), g.Client, "GetRecentMessages", &chat_pb.Client_GetRecentMessagesRequest{RoomName: room, AfterTimestamp: after})
	return got.GetMessages(), err
}

func (g *guest) poll(room string, after int64) []*chat_pb.ChatMessage {
	g.t.Helper()
	messages, err := g.tryPoll(room, after)
	if err != nil {
		g.t.Fatalf("poll %q: %v", room, err)
	}
	return messages
}

func (g *guest) rooms() []string {
	g.t.Helper()
	list, err := goverseclient.Call[*chat_pb.Client_ListChatRoomsResponse](
		g.t.Context(), g.Client, "ListChatRooms", &chat_pb.Client_ListChatRoomsRequest{})
	if err != nil {
		g.t.Fatalf("list rooms: %v", err)
	}
	return list.GetChatRooms()
}

// pushed waits for the next pushed message.
func (g *guest) pushed() *chat_pb.Client_MessagePush {
	g.t.Helper()
	select {
	case msg, ok := <-g.Pushes():
		push, isMessage := msg.(*chat_pb.Client_MessagePush)
		if !ok || !isMessage {
			g.t.Fatalf("pushed %T (open: %v, end: %v)", msg, ok, g.Err())
		}
		return push
	case <-time.After(patience):
		g.t.Fatal("nothing was pushed")
		return nil
	}
}

// quiet closes the client and fails the test when there was a push it did not take.
func (g *guest) quiet() {
	g.t.Helper()
	var rest []proto.Message
	done := make(chan struct{})
	go func() {
		defer close(done)
		for msg := range g.Pushes() {
			rest = append(rest, msg)
		}
	}()
	_ = g.Close()
	<-done
	if len(rest) > 0 {
		g.t.Errorf("%d unexpected pushes, the first is %v", len(rest), rest[0])
	}
}

// texts are what messages say, "name: text".
func texts(messages []*chat_pb.ChatMessage) []string {
	all := make([]string, 0, len(messages))
	for _, m := range messages {
		all = append(all, m.GetUserName()+": "+m.GetMessage())
	}
	return all
}

// newest is the timestamp of the last message.
func newest(messages []*chat_pb.ChatMessage, otherwise int64) int64 {
	if len(messages) == 0 {
		return otherwise
	}
	return messages[len(messages)-1].GetTimestamp()
}

// wantCode fails the test unless err has a code.
func wantCode(t *testing.T, what string, err error, code goverseapi.Code) {
	t.Helper()
	if goverseapi.CodeOf(err) != code {
		t.Errorf("%s: got %v, want %v", what, err, code)
	}
}

// restored is what a room says when it has come from another server.
const restored = "room restored"

// events is a log that a test can wait on.
type events struct {
	mu      sync.Mutex
	records []event       // guarded by mu
	stuck   chan struct{} // guarded by mu: where stuckOn is logged waits for it
	stuckOn string        // guarded by mu
	changed chan struct{} // guarded by mu: closed and replaced with every record
}

type event struct {
	message string
	attrs   map[string]string
}

// Enabled implements [slog.Handler].
func (e *events) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelDebug }

// Handle implements [slog.Handler].
func (e *events) Handle(_ context.Context, r slog.Record) error { return e.add(r, nil) }

func (e *events) add(r slog.Record, with []slog.Attr) error {
	attrs := make(map[string]string)
	for _, a := range with {
		attrs[a.Key] = a.Value.String()
	}
	r.Attrs(func(a slog.Attr) bool { attrs[a.Key] = a.Value.String(); return true })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.records = append(e.records, event{r.Message, attrs})
	close(e.changed)
	e.changed = make(chan struct{})
	if r.Message != e.stuckOn {
		return nil
	}
	stuck := e.stuck
	e.mu.Unlock()
	<-stuck
	e.mu.Lock()
	return nil
}

// stick holds up those who log a message, until the test ends or goes on.
func (w *world) stick(message string) (goOn func()) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.stuck, w.log.stuckOn = make(chan struct{}), message
	goOn = sync.OnceFunc(func() {
		w.log.mu.Lock()
		defer w.log.mu.Unlock()
		w.log.stuckOn = ""
		close(w.log.stuck)
	})
	w.t.Cleanup(goOn)
	return goOn
}

// WithAttrs implements [slog.Handler].
func (e *events) WithAttrs(attrs []slog.Attr) slog.Handler { return eventsWith{e, attrs} }

// WithGroup implements [slog.Handler].
func (e *events) WithGroup(string) slog.Handler { return e }

type eventsWith struct {
	*events

	attrs []slog.Attr
}

func (e eventsWith) Handle(_ context.Context, r slog.Record) error { return e.add(r, e.attrs) }

// until looks again and again whether something has come true.
func (w *world) until(isTrue func() bool, otherwise string, args ...any) {
	w.t.Helper()
	deadline := time.After(patience)
	look := time.NewTicker(patience / 300)
	defer look.Stop()
	for !isTrue() {
		select {
		case <-look.C:
		case <-deadline:
			w.t.Fatalf(otherwise, args...)
		}
	}
}

// wait returns the first n events with that message about an object, any if it is empty.
func (w *world) wait(n int, message, object string) []event {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		found, changed := w.log.find(message, object)
		if len(found) >= n {
			return found
		}
		select {
		case <-changed:
		case <-deadline:
			w.t.Fatalf("%q of %s was logged %d times, want %d", message, object, len(found), n)
		}
	}
}

func (e *events) find(message, object string) ([]event, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []event
	for _, r := range e.records {
		if r.message == message && (object == "" || r.attrs["object"] == object) {
			found = append(found, r)
		}
	}
	return found, e.changed
}
