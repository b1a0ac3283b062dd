package server

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/xiaonanln/goverse/internal/coord/etcd"
	"github.com/xiaonanln/goverse/internal/coord/etcd/embedded"
	"github.com/xiaonanln/goverse/internal/lifecycle"
)

// coordination lists the services that the server's coordination store consists of.
func (s *Server) coordination(p *parts) ([]lifecycle.Service, error) {
	const name = "coordination store"
	if s.cfg.inMemory() {
		return []lifecycle.Service{{Name: name, Run: func(ctx context.Context, ready func()) error {
			store, leave := s.coordinators.join(s.cfg.Cluster, s.clock)
			defer leave()
			p.store = store
			ready()
			<-ctx.Done()
			return nil
		}}}, nil
	}
	endpoints := func() []string { return s.cfg.Etcd }
	var services []lifecycle.Service
	if s.cfg.embedded() {
		e, err := embedded.New(s.embeddedConfig())
		if err != nil {
			return nil, problem("Etcd", "%w", err)
		}
		services = append(services, lifecycle.Service{Name: "embedded etcd", Run: func(ctx context.Context, ready func()) error {
			return e.Run(ctx, func() {
				s.cfg.Logger.InfoContext(ctx, "embedded etcd", "addr", e.Address(), "started_here", e.Started())
				ready()
			})
		}})
		endpoints = func() []string { return []string{e.Address()} }
	}
	return append(services, lifecycle.Service{Name: name, Run: func(ctx context.Context, ready func()) error {
		store, err := etcd.Open(ctx, etcd.Config{
			Endpoints: endpoints(), Logger: s.cfg.Logger, Fragile: s.cfg.embedded(),
			TLS: s.cfg.EtcdTLS, Username: s.cfg.EtcdUsername, Password: s.cfg.EtcdPassword,
		})
		if err != nil {
			return fmt.Errorf("open etcd (see Etcd): %w", err)
		}
		p.store, p.broken = store, store.Broken()
		ready()
		<-ctx.Done()
		if err := store.Close(); err != nil {
			return fmt.Errorf("close etcd: %w", err)
		}
		return nil
	}}), nil
}

func (s *Server) embeddedConfig() embedded.Config {
	cfg := embedded.Config{Logger: s.cfg.Logger}
	if len(s.cfg.Etcd) > 0 {
		cfg.Address = strings.TrimPrefix(s.cfg.Etcd[0], Embedded)
	}
	if s.cfg.DataDir != "" {
		cfg.Dir = filepath.Join(s.cfg.DataDir, "etcd")
	}
	return cfg
}
