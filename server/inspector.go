package server

import (
	"context"
	"fmt"
	"os"

	"github.com/xiaonanln/goverse/inspector"
	"github.com/xiaonanln/goverse/inspector/web"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/lifecycle"
)

// inspectorService is the name of the part that serves the inspector's page.
const inspectorService = "inspector"

// inspectorToken is the environment variable with the token that other machines need for the page.
const inspectorToken = "GOVERSE_INSPECTOR_TOKEN"

// inspector lists the service that shows the cluster, if there is to be one. It is there
// before the server is a member, and while it leaves.
func (s *Server) inspector(p *parts) []lifecycle.Service {
	if s.cfg.InspectorAddress == "" {
		return nil
	}
	return []lifecycle.Service{{Name: inspectorService, Run: func(ctx context.Context, ready func()) error {
		i := inspector.New(inspector.Config{
			Address: s.cfg.InspectorAddress, Cluster: s.cfg.Cluster, Etcd: s.where(), Token: os.Getenv(inspectorToken),
			Open:    func(context.Context) (coord.Store, func(), error) { return p.store, func() {}, nil },
			Actions: s.cfg.InspectorActions, Assets: web.FS(), Logger: s.cfg.Logger, Clock: s.clock,
			Ready: func(address, token string) {
				s.setAddr(inspectorService, address)
				s.cfg.Logger.InfoContext(ctx, "inspector", "url", "http://"+address, "actions", s.cfg.InspectorActions)
				if token != "" { // logs are kept and passed on: it does not belong there
					fmt.Fprintf(os.Stderr, "inspector: log in with the token %s (set %s to have one of your own)\n", token, inspectorToken)
				}
				ready()
			},
		})
		return i.Run(ctx)
	}}}
}

// where says where the cluster meets, in words.
func (s *Server) where() []string {
	if len(s.cfg.Etcd) == 0 {
		return []string{"embedded"}
	}
	return s.cfg.Etcd
}

// InspectorAddr returns the address of the inspector's page, by the name that was
// configured; empty before the start and without one.
func (s *Server) InspectorAddr() string { return s.addr(inspectorService) }
