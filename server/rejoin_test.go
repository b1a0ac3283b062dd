package server_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// Clients that come at any moment while their server joins again either have its new
// name, by which others reach them, or are told to register again.
func TestClientsThatComeWhileTheirServerJoinsAgain(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	near, far := c.join(func(cfg *server.Config) {
		cfg.ClientListenAddress, cfg.DataDir = "127.0.0.1:0", t.TempDir() // which takes its time
	}), c.join()
	for range 5 {
		old := near.Member().Incarnation()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var clients []*goverseclient.Client
		for range 4 {
			wg.Go(func() {
				for near.Member().Incarnation() == old {
					if client, err := goverseclient.Dial(t.Context(), near.ClientAddr()); err == nil {
						mu.Lock()
						clients = append(clients, client)
						mu.Unlock()
					}
				}
			})
		}
		if err := far.Member().Evict(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for _, client := range clients {
			id, err := goverseclient.Call[*text](t.Context(), client, "Whoami", nil)
			if err != nil || strings.HasSuffix(id.GetValue(), "@"+old) {
				receive(t, client.Done(), "the end of a client of the past")
			}
			_ = client.Close()
		}
	}
}

// onJoin is a log that says when a server has joined its cluster.
type onJoin struct {
	slog.Handler

	do func()
}

func (h onJoin) Enabled(context.Context, slog.Level) bool { return true }

func (h onJoin) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "joined the cluster" {
		h.do()
	}
	return nil
}

func (h onJoin) WithAttrs([]slog.Attr) slog.Handler { return h }

// A server's shards are open before it is ready: what turns call then is found, while
// programs have to wait.
func TestTurnsCallBeforeTheServerIsReady(t *testing.T) {
	t.Parallel()
	var f *fixture
	var outside, inside error
	f = create(t, func(cfg *server.Config) {
		if err := cfg.Registry.RegisterObjectType((*Tally)(nil)); err != nil {
			t.Fatal(err)
		}
		cfg.Logger = slog.New(onJoin{slog.DiscardHandler, func() {
			_, outside = f.CallObject(t.Context(), "Tally-1", "Add", wrapperspb.Int64(1))
			turn := context.WithValue(t.Context(), object.CallKey, t) // as that of another server
			_, inside = f.CallObject(turn, "Tally-1", "Add", wrapperspb.Int64(1))
		}})
	})
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantError(t, "a program's call", outside, object.ErrFailedPrecondition, object.ExecutedNo)
	if inside != nil {
		t.Errorf("a turn's call: %v", inside)
	}
}
