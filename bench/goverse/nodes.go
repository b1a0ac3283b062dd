package goverse

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/goverseapi"
)

// fewShards are shared out quickly.
const fewShards = 64

// leaseTTL is long: on a machine that has far too much to do for a while, nobody shall be taken for dead.
const leaseTTL = time.Minute

// meeting is where a cluster meets, and who answers there.
type meeting struct {
	Etcd    string
	Cluster string
	Process int64
	// Shards is how many the cluster has; 0: the default.
	Shards int
	// Client is where clients connect; empty: nowhere.
	Client string
}

// firstNode starts a cluster: a node with a real embedded etcd, which keeps its data in a temporary folder.
func firstNode(ctx context.Context, short, clients bool) (peer.Server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gvbench")
	if err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	m := meeting{Etcd: address, Cluster: "bench-" + rand.Text()}
	if short {
		m.Shards = fewShards
	}
	n, err := openNode(ctx, m, goverseapi.ServerConfig{Etcd: []string{"embedded:" + m.Etcd}, DataDir: dir}, clients)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	n.dir = dir
	return n, nil
}

// nextNode starts another node of a cluster.
func nextNode(ctx context.Context, first string, clients bool) (peer.Server, error) {
	m, err := readMeeting(first)
	if err != nil {
		return nil, err
	}
	return openNode(ctx, m, goverseapi.ServerConfig{Etcd: []string{m.Etcd}}, clients)
}

// openNode starts a node, which clients can connect to or not.
func openNode(ctx context.Context, m meeting, config goverseapi.ServerConfig, clients bool) (*node, error) {
	config.Cluster, config.Shards = m.Cluster, m.Shards
	if clients {
		config.ClientListenAddress = "localhost:0"
	}
	server, err := startNode(ctx, config)
	if err != nil {
		return nil, err
	}
	m.Process, m.Client = int64(os.Getpid()), server.ClientAddr()
	text, err := json.Marshal(m)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tell address: %w", err), server.Stop(ctx))
	}
	return &node{server: server, tell: string(text)}, nil
}

func readMeeting(text string) (meeting, error) {
	var m meeting
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return m, fmt.Errorf("read address: %w", err)
	}
	return m, nil
}

// startNode starts a server with all types. It is the same on every node.
func startNode(ctx context.Context, config goverseapi.ServerConfig) (*goverseapi.Server, error) {
	registry := goverseapi.NewRegistry()
	err := errors.Join(
		registry.RegisterClientType((*Caller)(nil), goverseapi.Concurrency(goverseapi.Concurrent)),
		registry.RegisterObjectType((*Tally)(nil)),
		registry.RegisterObjectType((*Room)(nil)),
		registry.RegisterObjectType((*Talker)(nil)),
		registry.RegisterObjectType((*SharedTally)(nil), goverseapi.ShareMessages(),
			goverseapi.Methods(goverseapi.Method((*SharedTally).Bump), goverseapi.Method((*SharedTally).Where))))
	if err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}
	config.ListenAddress, config.Registry, config.LeaseTTL = "localhost:0", registry, leaseTTL
	config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server := goverseapi.NewServer(&config)
	if err := server.Start(ctx); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	return server, nil
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return lis.Addr().String(), lis.Close()
}

// node is a node that is not driven.
type node struct {
	server *goverseapi.Server
	dir    string // of the etcd; empty without one
	tell   string
}

func (n *node) Tell() string { return n.tell }

func (n *node) Close(ctx context.Context) error {
	err := n.server.Stop(ctx)
	if n.dir != "" {
		err = errors.Join(err, os.RemoveAll(n.dir))
	}
	return err
}

// Tally is the object, as a user writes it.
type Tally struct {
	goverseapi.BaseObject

	tally peer.Tally
}

// Bump adds one and sends the payload back.
func (t *Tally) Bump(_ context.Context, req *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return t.tally.Bump(req), nil
}

// Where answers with the process that the object lives in.
func (t *Tally) Where(context.Context, *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return &benchpb.BumpResponse{Value: int64(os.Getpid())}, nil
}

// SharedTally is the same object under another type name, registered with options.
type SharedTally struct {
	goverseapi.BaseObject

	tally peer.Tally
}

// Bump adds one and sends the payload back.
func (t *SharedTally) Bump(_ context.Context, req *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return t.tally.Bump(req), nil
}

// Where answers with the process that the object lives in.
func (t *SharedTally) Where(context.Context, *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return &benchpb.BumpResponse{Value: int64(os.Getpid())}, nil
}
