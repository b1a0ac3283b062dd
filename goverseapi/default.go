package goverseapi

import (
	"context"
	"slices"
	"sync"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// The process's defaults, as net/http has them for its mux. This is the only file of
// the module with mutable package state.
var (
	defaultRegistry = object.NewRegistry()
	defaultServers  servers
	coordinators    server.Coordinators
)

// servers are the servers that NewServer made, oldest first, without the stopped.
type servers struct {
	mu  sync.RWMutex
	all []*server.Server // guarded by mu
}

// NewServer returns a server that has not started. It does no I/O and never fails:
// what is wrong with cfg is returned by Run or Start. A nil Registry in cfg is the
// process's own, the one of [RegisterObjectType]. The first server that has not
// stopped is the process's default.
func NewServer(cfg *ServerConfig) *Server {
	var own ServerConfig
	if cfg != nil {
		own = *cfg
	}
	if own.Registry == nil {
		own.Registry = defaultRegistry
	}
	s := server.NewShared(&own, &coordinators)
	defaultServers.add(s)
	return s
}

// RegisterObjectType registers the type of prototype, (*ChatRoom)(nil), with the
// process's registry. Registering a type twice alike is allowed; what cannot be
// registered is a mistake in the program, and it panics with every reason. The method
// of a [Registry] returns the error instead.
func RegisterObjectType(prototype Object, opts ...RegisterOption) {
	if err := defaultRegistry.RegisterObjectType(prototype, opts...); err != nil {
		panic(err) // a mistake in the program, like http.Handle's
	}
}

// RegisterClientType registers the type of the objects that stand for clients;
// otherwise like [RegisterObjectType].
func RegisterClientType(prototype ClientObject, opts ...RegisterOption) {
	if err := defaultRegistry.RegisterClientType(prototype, opts...); err != nil {
		panic(err) // a mistake in the program, like http.Handle's
	}
}

func (d *servers) add(s *server.Server) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(slices.DeleteFunc(d.all, (*server.Server).Stopped), s)
}

// first returns the default server; nil where there is none.
func (d *servers) first() *server.Server {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, s := range d.all {
		if !s.Stopped() {
			return s
		}
	}
	return nil
}

// runtimeFor finds the server that an operation is for: the one in ctx, else the
// process's default.
func runtimeFor(ctx context.Context, op, id string) (object.Runtime, error) {
	if rt, ok := object.FromContext(ctx); ok {
		return rt, nil
	}
	s := defaultServers.first()
	if s == nil {
		return nil, object.Refuse(CodeFailedPrecondition, "", op, id, "",
			"no server: none is in the context, and this process has made none that has not stopped")
	}
	return s.Runtime(), nil
}
