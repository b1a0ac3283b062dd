//go:build linux

package role

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

// EtcdConfig says which member of which etcd cluster a process is.
type EtcdConfig struct {
	Name    string `json:"name"`
	Dir     string `json:"dir"`
	Client  string `json:"client"`  // host:port
	Peer    string `json:"peer"`    // host:port
	Cluster string `json:"cluster"` // a=http://host:port,b=…
	Log     string `json:"log"`     // file
}

// Etcd is a member of an etcd cluster, until ctx or the harness ends. Its data is not
// synced to disk: only processes die here, not machines.
func Etcd(ctx context.Context, cfg EtcdConfig, s Streams) error {
	c := embed.NewConfig()
	client, peer := url.URL{Scheme: "http", Host: cfg.Client}, url.URL{Scheme: "http", Host: cfg.Peer}
	c.Name, c.Dir, c.InitialCluster = cfg.Name, cfg.Dir, cfg.Cluster
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.UnsafeNoFsync, c.EnableGRPCGateway = true, false
	c.LogLevel, c.LogOutputs = "warn", []string{cfg.Log}
	e, err := embed.StartEtcd(c)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer e.Close()
	gone := make(chan struct{})
	go func() { defer close(gone); _, _ = io.Copy(io.Discard, s.In) }() // ends with the process
	select {
	case <-ctx.Done():
		return nil
	case <-gone:
		return errNoHarness
	case err := <-e.Err():
		return errors.Join(errors.New("etcd has stopped"), err)
	}
}
