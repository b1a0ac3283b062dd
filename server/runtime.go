package server

import (
	"context"
	"crypto/rand"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/object"
)

// runtime is the server as its objects see it.
type runtime struct {
	server *Server
	open   atomic.Pointer[routing.Router] // while calls from everywhere are taken
}

var _ object.Runtime = (*runtime)(nil)

// creation is an object to create at the start.
type creation struct {
	typ, id string
	init    proto.Message
}

// Call implements [object.Runtime].
func (r *runtime) Call(ctx context.Context, id, method string, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
	to := r.open.Load()
	if to == nil {
		var err error
		if to, err = r.server.router(ctx, "call", id, method); err != nil {
			return nil, err
		}
	}
	return to.Call(ctx, id, method, req, opts...)
}

// Invoke implements [object.Runtime].
func (r *runtime) Invoke(ctx context.Context, id string, method object.Expr, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
	to := r.open.Load()
	if to == nil {
		var err error
		if to, err = r.server.router(ctx, "call", id, ""); err != nil {
			return nil, err
		}
	}
	return to.Invoke(ctx, id, method, req, opts...)
}

// Create implements [object.Runtime].
func (r *runtime) Create(ctx context.Context, typ, id string, init proto.Message) (string, error) {
	if id == "" {
		id = typ + "-" + rand.Text()
	}
	if r.server.remember(creation{typ, id, init}) {
		return id, nil
	}
	to, err := r.server.router(ctx, "create", id, "")
	if err != nil {
		return "", err
	}
	return to.Create(ctx, typ, id, init)
}

// Delete implements [object.Runtime].
func (r *runtime) Delete(ctx context.Context, id string) error {
	to, err := r.server.router(ctx, "delete", id, "")
	if err != nil {
		return err
	}
	return to.Delete(ctx, id)
}

// Push implements [object.Runtime].
func (r *runtime) Push(ctx context.Context, clientID string, msg proto.Message) error {
	to, err := r.server.router(ctx, "push", clientID, "")
	if err != nil {
		return err
	}
	return to.Push(ctx, clientID, msg)
}

// remember keeps an object for the start; false once the server has begun to start.
func (s *Server) remember(c creation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if phase(s.phase.Load()) != created {
		return false
	}
	if c.init != nil {
		c.init = proto.Clone(c.init)
	}
	s.startup = append(s.startup, c)
	return true
}

// openFor takes calls from everywhere, unless the server stops already.
func (s *Server) openFor(p *parts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ph := phase(s.phase.Load()); ph == starting || ph == running {
		s.runtime.open.Store(p.router)
	}
}

// router finds objects for a call of a program or a turn. A server that stops takes no
// more calls from outside any turn, and one that starts none yet.
func (s *Server) router(ctx context.Context, op, id, method string) (*routing.Router, error) {
	p := s.parts.Load()
	if p == nil {
		return nil, s.notRunning(op, id, method)
	}
	outside := object.CallFrom(ctx) == nil
	switch ph := phase(s.phase.Load()); {
	case ph == stopped, outside && (ph == stopping || ph == starting && s.runtime.open.Load() == nil):
		return nil, s.notRunning(op, id, method)
	}
	return p.router, nil
}

func (s *Server) notRunning(op, id, method string) error {
	if p := phase(s.phase.Load()); p == stopping || p == stopped {
		return object.Refuse(object.CodeUnavailable, "", op, id, method, "the server has stopped")
	}
	return object.Refuse(object.CodeFailedPrecondition, "", op, id, method, "the server has not started")
}

// CallObject runs a method of an object and returns its reply; see [object.Runtime].
func (s *Server) CallObject(ctx context.Context, id, method string, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
	return s.runtime.Call(ctx, id, method, req, opts...)
}

// CreateObject creates an object; an empty id asks for a generated one. Before the
// start it is recorded and carried out there; that the object exists is no error then.
func (s *Server) CreateObject(ctx context.Context, typ, id string, init proto.Message) (string, error) {
	return s.runtime.Create(ctx, typ, id, init)
}

// DeleteObject ends an object and removes all that is kept of it; that of a client
// disconnects the client.
func (s *Server) DeleteObject(ctx context.Context, id string) error { return s.runtime.Delete(ctx, id) }

// PushMessage queues a message for the client that owns a client object.
func (s *Server) PushMessage(ctx context.Context, clientID string, msg proto.Message) error {
	return s.runtime.Push(ctx, clientID, msg)
}
