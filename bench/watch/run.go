package watch

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/xiaonanln/goverse/inspector"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/logger"
)

// Inspector is one that runs.
type Inspector struct {
	// Address is where it listens, host:port.
	Address string

	cancel context.CancelFunc
	done   chan error
}

// Run starts an inspector of a cluster at a free port of the loopback, as cmd/inspector does, without the page's files.
// It returns when that listens.
func Run(ctx context.Context, endpoint, cluster string) (*Inspector, error) {
	ready := make(chan string, 1)
	config := inspector.Config{
		Address: "localhost:0", Cluster: cluster, Etcd: []string{endpoint},
		Logger: logger.New(os.Stderr, slog.LevelError), Clock: clock.System(),
		Open: func(ctx context.Context) (coord.Store, func(), error) {
			store, err := etcd.Open(ctx, etcd.Config{Endpoints: []string{endpoint}})
			if err != nil {
				return nil, nil, err
			}
			return store, func() { _ = store.Close() }, nil // it was only read from
		},
		Ready: func(address, _ string) { ready <- address },
	}
	ctx, cancel := context.WithCancel(ctx)
	i := &Inspector{cancel: cancel, done: make(chan error, 1)}
	go func() { i.done <- inspector.New(config).Run(ctx) }()
	select {
	case i.Address = <-ready:
		return i, nil
	case err := <-i.done:
		cancel()
		return nil, fmt.Errorf("run inspector: %w", err)
	}
}

// Close stops it and waits.
func (i *Inspector) Close() error {
	i.cancel()
	return <-i.done
}
