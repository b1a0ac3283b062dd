//go:build linux

// Package role is what the processes of a chaos run do: be a GoVerse server with a load
// on it ([Node]), or a member of an etcd cluster ([Etcd]). The harness starts them, and
// tells a node what to do in lines of JSON on its standard input; the node answers on its
// standard output. A process ends by itself when its standard input does, so that none is
// left over when the harness dies.
//
// Each role owns its goroutines and returns when they have ended.
package role

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/workload"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
	"github.com/xiaonanln/goverse/util/clock"
)

// NodeConfig says what a node is.
type NodeConfig struct {
	Listen    string        `json:"listen"`
	Advertise string        `json:"advertise"`
	Etcd      []string      `json:"etcd"`
	Data      string        `json:"data,omitempty"`
	Cluster   string        `json:"cluster"`
	Shards    int           `json:"shards"`
	TTL       time.Duration `json:"ttl"`
	Drain     time.Duration `json:"drain"`
	Callers   int           `json:"callers"`
	Pause     time.Duration `json:"pause"`
	Timeout   time.Duration `json:"timeout"` // of a call of the load
	Hot       int           `json:"hot"`
	Seed      uint64        `json:"seed"`
	Slow      bool          `json:"slow,omitempty"`
}

// Command is what a node is told.
type Command struct {
	ID      int           `json:"id"`
	Load    *bool         `json:"load,omitempty"`    // start or stop the load
	Objects []string      `json:"objects,omitempty"` // to be called, all at the same time
	Method  string        `json:"method,omitempty"`  // with this
	A       int64         `json:"a,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Answer is what it answers. The first one, with ID 0, says that it is ready.
type Answer struct {
	ID     int      `json:"id"`
	Failed []string `json:"failed,omitempty"` // the objects whose calls failed
}

// Streams are where the commands come from, and where answers and log go.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err *slog.Logger
}

// Node is a server with a load, until ctx ends or the commands do. It stops as a program
// should: its own callers first, then the server.
func Node(ctx context.Context, cfg NodeConfig, s Streams) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	registry := object.NewRegistry()
	if err := workload.Types(registry); err != nil {
		return err
	}
	srv := server.New(&server.Config{
		ListenAddress: cfg.Listen, AdvertiseAddress: cfg.Advertise, Etcd: cfg.Etcd, DataDir: cfg.Data, Cluster: cfg.Cluster,
		Shards: cfg.Shards, LeaseTTL: cfg.TTL, DrainTimeout: cfg.Drain, Registry: registry, Logger: s.Err,
	})
	if err := srv.Start(ctx); err != nil {
		return err
	}
	n := &node{out: s.Out, fail: end, load: workload.Load{Settings: workload.Settings{
		Runtime: srv.Runtime(), Clock: clock.System(), Callers: cfg.Callers, Pause: cfg.Pause,
		Timeout: cfg.Timeout, Hot: cfg.Hot, Seed: cfg.Seed, Slow: cfg.Slow, Fail: end,
	}}}
	n.answer(Answer{})
	read := make(chan struct{})
	go func() { defer close(read); n.read(ctx, s.In) }() // ends with the process: a read cannot be taken back
	select {
	case <-read:
		end(errNoHarness)
	case <-ctx.Done():
	case <-srv.Done():
	}
	n.stopLoad()
	err := srv.Stop(context.WithoutCancel(ctx))
	n.wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

var errNoHarness = errors.New("the harness has gone")

type node struct {
	out  io.Writer
	fail func(error)
	wg   sync.WaitGroup // the commands

	mu      sync.Mutex // guards the fields below, and writing to out
	load    workload.Load
	stopped bool // no load any more
}

func (n *node) read(ctx context.Context, in io.Reader) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c Command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			n.fail(fmt.Errorf("read command: %w", err))
			return
		}
		n.wg.Go(func() { n.carryOut(context.WithoutCancel(ctx), c) })
	}
}

func (n *node) carryOut(ctx context.Context, c Command) {
	a := Answer{ID: c.ID}
	switch {
	case c.Load != nil && *c.Load:
		n.startLoad(ctx)
	case c.Load != nil:
		n.mu.Lock()
		n.load.Stop()
		n.mu.Unlock()
	default:
		a.Failed = n.call(ctx, c)
	}
	n.answer(a)
}

func (n *node) startLoad(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.stopped {
		n.load.Start(ctx)
	}
}

func (n *node) stopLoad() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopped = true
	n.load.Stop()
}

// call calls all objects of a command, and returns those whose calls failed.
func (n *node) call(ctx context.Context, c Command) []string {
	var mu sync.Mutex // guards failed
	var failed []string
	var wg sync.WaitGroup
	for _, id := range c.Objects {
		wg.Go(func() {
			if n.load.Call(ctx, id, workload.Request{Method: c.Method, A: c.A}, false, c.Timeout) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, id)
		})
	}
	wg.Wait()
	return failed
}

func (n *node) answer(a Answer) {
	line, err := json.Marshal(a)
	if err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		_, err = n.out.Write(append(line, '\n'))
	}
	if err != nil {
		n.fail(fmt.Errorf("answer the harness: %w", err))
	}
}
