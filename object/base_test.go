package object_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

// host is a Host that records what it is asked.
type host struct {
	id     string
	logger *slog.Logger
	ctx    context.Context
	timers []timer
}

type timer struct {
	d      time.Duration
	every  bool
	method string
	req    proto.Message
}

func (h *host) ID() string               { return h.id }
func (h *host) Logger() *slog.Logger     { return h.logger }
func (h *host) Context() context.Context { return h.ctx }

func (h *host) AfterFunc(d time.Duration, method string, req proto.Message) func() bool {
	h.timers = append(h.timers, timer{d, false, method, req})
	return func() bool { return true }
}

func (h *host) Every(d time.Duration, method string, req proto.Message) func() bool {
	h.timers = append(h.timers, timer{d, true, method, req})
	return func() bool { return true }
}

// pushes is a Runtime that records pushes; its other methods are not called here.
type pushes struct {
	object.Runtime

	ids  []string
	msgs []proto.Message
	err  error
}

func (p *pushes) Push(_ context.Context, id string, msg proto.Message) error {
	p.ids, p.msgs = append(p.ids, id), append(p.msgs, msg)
	return p.err
}

// TestBaseWithoutHost: a value that nothing hosts, as in a unit test of a user's type,
// answers something harmless everywhere.
func TestBaseWithoutHost(t *testing.T) {
	for name, obj := range map[string]interface {
		object.Object
		Type() string
		Name() string
		Logger() *slog.Logger
		Context() context.Context
		AfterFunc(time.Duration, string, proto.Message) func() bool
		Every(time.Duration, string, proto.Message) func() bool
	}{"object": &room{}, "client": &chatter{}} {
		t.Run(name, func(t *testing.T) {
			if obj.ID() != "" || obj.Type() != "" || obj.Name() != "" {
				t.Errorf("ID %q, type %q, name %q; want none", obj.ID(), obj.Type(), obj.Name())
			}
			obj.Logger().Info("to nobody")
			if ctx := obj.Context(); ctx == nil || ctx.Err() != nil {
				t.Errorf("context %v", ctx)
			}
			if obj.AfterFunc(0, "M", nil)() || obj.Every(time.Second, "M", nil)() {
				t.Error("a timer without a host says that it was stopped in time")
			}
		})
	}
	err := (&chatter{}).Push(t.Context(), wrapperspb.String("x"))
	wantError(t, err, object.CodeFailedPrecondition, "push: no server hosts this client object")
}

func TestBaseAsksItsHost(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := &host{id: "ChatRoom-a-b", logger: slog.New(slog.DiscardHandler), ctx: ctx}
	r := &promoted{}
	object.Bind(r, h)
	if r.ID() != "ChatRoom-a-b" || r.Type() != "ChatRoom" || r.Name() != "a-b" {
		t.Errorf("ID %q, type %q, name %q", r.ID(), r.Type(), r.Name())
	}
	if r.Logger() != h.logger {
		t.Error("Logger is not the host's")
	}
	cancel()
	if r.Context().Err() == nil {
		t.Error("Context is not the host's")
	}
	req := wrapperspb.String("x")
	if !r.AfterFunc(time.Second, "Join", req)() || !r.Every(time.Minute, "Leave", nil)() {
		t.Error("stop is not the host's")
	}
	if len(h.timers) != 2 || h.timers[0] != (timer{time.Second, false, "Join", req}) || h.timers[1] != (timer{time.Minute, true, "Leave", nil}) {
		t.Errorf("timers %+v", h.timers)
	}
	other := &room{}
	object.Bind(other, &host{id: "T"}) // no ID of the runtime's, yet no reason to panic
	if other.Type() != "T" || other.Name() != "" {
		t.Errorf("type %q, name %q", other.Type(), other.Name())
	}
	if r.ID() != "ChatRoom-a-b" {
		t.Error("objects share a host")
	}
}

func TestPush(t *testing.T) {
	msg := wrapperspb.String("x")
	hosting, traveling := &pushes{}, &pushes{err: object.ErrResourceExhausted}
	c := &chatter{}
	object.Bind(c, &host{id: "Chatter-1", ctx: object.NewContext(t.Context(), hosting)})

	if err := c.Push(t.Context(), msg); err != nil {
		t.Errorf("outside of a turn: %v", err)
	}
	if len(hosting.ids) != 1 || hosting.ids[0] != "Chatter-1" || hosting.msgs[0] != proto.Message(msg) {
		t.Errorf("the host's server was asked %q, %v", hosting.ids, hosting.msgs)
	}
	if err := c.Push(object.NewContext(t.Context(), traveling), msg); err != nil {
		t.Errorf("with the context of another server: %v, want the answer of its own", err)
	}
	if len(traveling.ids) != 0 || len(hosting.ids) != 2 {
		t.Errorf("the context's server was asked %q, the host's %q", traveling.ids, hosting.ids)
	}
	if err := new(chatter).Push(object.NewContext(t.Context(), traveling), msg); !errors.Is(err, object.ErrResourceExhausted) {
		t.Errorf("without a host: %v, want the answer of the server in the context", err)
	}
}
