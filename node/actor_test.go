package node_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

// actor is the object of these tests: its methods differ in their mode only, and
// watch that turns overlap as their modes allow.
type actor struct {
	object.BaseObject

	serial  int // of this activation, in the world
	n       int // changed without synchronization: the race detector watches it
	memory  string
	watched overlap
}

func (a *actor) Write(ctx context.Context, req *str) (*str, error) {
	defer a.watched.enter(ctx, a.ID(), object.Sequential)()
	a.n++
	return a.act(ctx, req)
}

func (a *actor) Read(ctx context.Context, req *str) (*str, error) {
	defer a.watched.enter(ctx, a.ID(), object.ReadOnly)()
	_ = a.n
	return a.act(ctx, req)
}

func (a *actor) Free(ctx context.Context, req *str) (*str, error) {
	defer a.watched.enter(ctx, a.ID(), object.Concurrent)()
	return a.act(ctx, req)
}

// Loose is detached.
func (a *actor) Loose(ctx context.Context, req *str) (*str, error) { return a.Write(ctx, req) }

// Hurry has a call timeout of one second.
func (a *actor) Hurry(ctx context.Context, req *str) (*str, error) { return a.Write(ctx, req) }

// Patient has no call timeout.
func (a *actor) Patient(ctx context.Context, req *str) (*str, error) { return a.Write(ctx, req) }

func (a *actor) hidden(context.Context, *str) (*str, error) { return nil, nil } //nolint:unused // no method of the object

func (a *actor) act(ctx context.Context, req *str) (*str, error) {
	word, arg, _ := strings.Cut(req.GetValue(), " ")
	do := worldOf(ctx).action(word)
	if do == nil {
		return nil, errors.New("no action " + word)
	}
	out, err := do(ctx, a, arg)
	if err != nil {
		return nil, err
	}
	return wrapperspb.String(out), nil
}

func worldOf(ctx context.Context) *world {
	rt, _ := object.FromContext(ctx)
	return rt.(*world)
}

// overlap watches which turns of one activation run beside each other. Turns of one
// chain, told by the metadata "chain", may.
type overlap struct {
	mu     sync.Mutex
	active []running // guarded by mu
}

type running struct {
	mode  object.Mode
	chain string
}

// hookMode is that of hooks: nothing runs beside them.
const hookMode = object.Concurrent + 1

func (o *overlap) enter(ctx context.Context, id string, mode object.Mode) (leave func()) {
	r := running{mode, object.MetadataFrom(ctx)["chain"]}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, other := range o.active {
		alone := mode == hookMode || other.mode == hookMode
		free := mode == object.Concurrent || other.mode == object.Concurrent
		readers := mode == object.ReadOnly && other.mode == object.ReadOnly
		kin := r.chain != "" && r.chain == other.chain
		if alone || !free && !readers && !kin {
			worldOf(ctx).t.Errorf("%s: a turn (mode %d) runs beside another (mode %d)", id, mode, other.mode)
		}
	}
	o.active = append(o.active, r)
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		i := slices.Index(o.active, r)
		o.active = slices.Delete(o.active, i, i+1)
	}
}

// hooked is an actor with hooks, which are the actions of their names.
type hooked struct{ actor }

func (h *hooked) OnCreate(ctx context.Context, init proto.Message) error {
	msg, _ := init.(*str)
	return h.hook(ctx, "OnCreate", msg.GetValue())
}

func (h *hooked) OnActivate(ctx context.Context) error { return h.hook(ctx, "OnActivate", "") }

func (h *hooked) OnDeactivate(ctx context.Context, reason object.DeactivateReason) error {
	return h.hook(ctx, "OnDeactivate", reason.String())
}

// hook is watched to run alone.
func (a *actor) hook(ctx context.Context, name, arg string) error {
	defer a.watched.enter(ctx, a.ID(), hookMode)()
	a.n++
	if do := worldOf(ctx).action(name); do != nil {
		_, err := do(ctx, a, arg)
		return err
	}
	return nil
}

// saver is an actor with hooks whose memory moves along.
type saver struct{ hooked }

func (s *saver) OnSnapshot(ctx context.Context) (proto.Message, error) {
	if err := s.hook(ctx, "OnSnapshot", s.memory); err != nil || s.memory == "" {
		return nil, err
	}
	return wrapperspb.String(s.memory), nil
}

func (s *saver) OnRestore(ctx context.Context, state proto.Message) error {
	msg, _ := state.(*str)
	if err := s.hook(ctx, "OnRestore", msg.GetValue()); err != nil {
		return err
	}
	s.memory = msg.GetValue()
	return nil
}

// guest is a client object.
type guest struct {
	object.BaseClient

	body actor
}

func (g *guest) Say(ctx context.Context, req *str) (*str, error) { return g.body.Write(ctx, req) }

func (g *guest) OnConnect(ctx context.Context) error { return g.body.hook(ctx, "OnConnect", "") }

func (g *guest) OnDisconnect(ctx context.Context, reason object.DisconnectReason) {
	_ = g.body.hook(ctx, "OnDisconnect", reason.String())
}

// registration puts a type into a registry.
type registration func(*object.Registry) error

func typed(prototype object.Object, name string, opts ...object.RegisterOption) registration {
	return func(r *object.Registry) error {
		opts := append([]object.RegisterOption{
			object.TypeName(name),
			object.Concurrency(object.ReadOnly, "Read"),
			object.Concurrency(object.Concurrent, "Free"),
			object.Detached("Loose"),
			object.CallTimeout(time.Second, "Hurry"),
			object.CallTimeout(-1, "Patient"),
		}, opts...)
		return r.RegisterObjectType(prototype, opts...)
	}
}

func standardTypes() []registration {
	return []registration{
		typed((*actor)(nil), "Plain"),
		typed((*actor)(nil), "Loop", object.Reentrant()),
		typed((*actor)(nil), "Tight", object.MailboxLimit(3)),
		typed((*actor)(nil), "Endless", object.MailboxLimit(-1), object.IdleTimeout(-1)),
		typed((*actor)(nil), "Brief", object.IdleTimeout(time.Minute)),
		typed((*hooked)(nil), "Hook", object.IdleTimeout(time.Minute)),
		typed((*saver)(nil), "Saver", object.IdleTimeout(time.Minute)),
		func(r *object.Registry) error {
			return r.RegisterClientType((*guest)(nil), object.TypeName("Guest"), object.IdleTimeout(time.Minute))
		},
	}
}

// standardActions are the words that every world knows.
func (w *world) standardActions() {
	w.on("nothing", func(context.Context, *actor, string) (string, error) { return "", nil })
	w.on("put", func(_ context.Context, o *actor, arg string) (string, error) { o.memory += arg; return o.memory, nil })
	w.on("get", func(_ context.Context, o *actor, _ string) (string, error) { return o.memory, nil })
	w.on("echo", func(_ context.Context, _ *actor, arg string) (string, error) { return arg, nil })
	w.on("note", func(_ context.Context, _ *actor, arg string) (string, error) { w.note("%s", arg); return arg, nil })
	w.on("who", func(_ context.Context, o *actor, _ string) (string, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if o.serial == 0 {
			w.born++
			o.serial = w.born
		}
		return strconv.Itoa(o.serial), nil
	})
	// hold notes its word, ignores its context and ends when the gate of that name opens.
	w.on("hold", func(_ context.Context, _ *actor, arg string) (string, error) {
		w.note("%s", arg)
		<-w.gate(arg)
		return arg, nil
	})
	// heed is hold that ends with its context.
	w.on("heed", func(ctx context.Context, _ *actor, arg string) (string, error) {
		w.note("%s", arg)
		select {
		case <-w.gate(arg):
			return arg, nil
		case <-ctx.Done():
			w.note("%s told", arg)
			return "", ctx.Err()
		}
	})
	w.on("fail", func(_ context.Context, _ *actor, arg string) (string, error) {
		return "", object.NewError(object.CodeAborted, arg)
	})
	w.on("panic", func(_ context.Context, _ *actor, arg string) (string, error) { panic(arg) })
	w.on("exit", func(context.Context, *actor, string) (string, error) { runtime.Goexit(); return "", nil })
	w.on("call", callOn)
	w.on("delete", func(ctx context.Context, _ *actor, arg string) (string, error) { return "", w.Delete(ctx, arg) })
}

// callOn calls along "ID.Method > ID.Method > …", the last with the request after
// a "!", "echo" without one.
func callOn(ctx context.Context, _ *actor, arg string) (string, error) {
	path, last, ok := strings.Cut(arg, "!")
	if !ok {
		last = "echo end"
	}
	last = strings.TrimSpace(last)
	first, rest, more := strings.Cut(path, ">")
	id, method, _ := strings.Cut(strings.TrimSpace(first), ".")
	req := last
	if more {
		req = "call " + rest + "!" + last
	}
	reply, err := worldOf(ctx).Call(ctx, id, method, wrapperspb.String(req))
	if err != nil {
		return "", err
	}
	return reply.(*str).GetValue(), nil
}
