package server_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// wantFailure checks the error of a start: its code, that nothing has run, which part it
// names, and that it says its code once.
func wantFailure(t *testing.T, what string, err error, sentinel *object.Error, says string) {
	t.Helper()
	wantError(t, what, err, sentinel, object.ExecutedNo)
	coded, ok := errors.AsType[*object.Error](err)
	if !ok || coded.Op != "start server" || !errors.Is(err, sentinel) {
		t.Errorf("%s: %v (%T), want an *object.Error of the start", what, err, err)
	}
	if err != nil && (!strings.Contains(err.Error(), says) || strings.Count(err.Error(), "("+sentinel.Code.String()) != 1) {
		t.Errorf("%s: %v, want it to say %s, and its code once", what, err, says)
	}
}

func TestCodeOfAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	taken := listen(t, "127.0.0.1:0")
	for name, set := range map[string]setting{
		"node listener":   func(c *server.Config) { c.ListenAddress = taken },
		"client listener": func(c *server.Config) { c.ClientListenAddress = taken },
		"admin listener":  func(c *server.Config) { c.AdminAddress = taken },
		"inspector":       func(c *server.Config) { c.InspectorAddress = taken },
	} {
		err := create(t, set).Start(t.Context())
		wantFailure(t, name, err, object.ErrUnavailable, name)
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Addr.String() != taken {
			t.Errorf("%s: %v does not wrap the system's error", name, err)
		}
	}
	err := create(t, func(c *server.Config) { c.ListenAddress = taken }).Run()
	wantFailure(t, "run", err, object.ErrUnavailable, taken)
}

func TestCodeOfAnAddressOfAnotherMachine(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]setting{
		"node listener":   func(c *server.Config) { c.ListenAddress = "192.0.2.1:0" },
		"client listener": func(c *server.Config) { c.ClientListenAddress = "192.0.2.1:0" },
	} {
		wantFailure(t, name, create(t, set).Start(t.Context()), object.ErrInvalidArgument, "192.0.2.1:0")
	}
}

func TestCodeOfAStartThatIsGivenUp(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	err := create(t).Start(ended)
	wantFailure(t, "cancelled", err, object.ErrCanceled, "why")
	if !errors.Is(err, why) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, want its cause", err)
	}

	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelLate()
	wantFailure(t, "late", create(t).Start(late), object.ErrDeadlineExceeded, "start service")

	f := create(t, func(c *server.Config) { c.DrainTimeout = time.Second })
	f.record(t, "Box-1", "block")
	begun := started(func() error { return f.Start(t.Context()) })
	f.probe.awaitEntered(t)
	if err := f.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	wantFailure(t, "stopped", receive(t, begun, "Start to return"), object.ErrCanceled, "startup objects")
}

// What an object's creation fails with keeps its code, and the object's name.
func TestCodeOfAFailedCreation(t *testing.T) {
	t.Parallel()
	f := create(t)
	f.record(t, "Box-1", "fail")
	err := f.Start(t.Context())
	wantFailure(t, "creation", err, object.ErrOutOfRange, "no room for Box-1")
	if e := object.FromError(err); e.ID != "Box-1" {
		t.Errorf("%v is about %q, want Box-1", err, e.ID)
	}
}

func TestCodeOfADataDirectory(t *testing.T) {
	t.Parallel()
	used, garbled := t.TempDir(), t.TempDir()
	file := filepath.Join(garbled, "incarnation")
	if err := os.WriteFile(file, []byte("{nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, func(c *server.Config) { c.DataDir = used })
	for dir, c := range map[string]struct {
		sentinel *object.Error
		says     string
	}{
		used:    {object.ErrUnavailable, "another server uses it"},
		garbled: {object.ErrDataLoss, file},
		file:    {object.ErrInvalidArgument, "not a directory"},
	} {
		err := create(t, func(c *server.Config) { c.DataDir = dir }).Start(t.Context())
		wantFailure(t, dir, err, c.sentinel, c.says)
	}
}

// Nobody speaks etcd at the address: a port that was given back, and one that is silent.
func TestCodeOfAnEtcdThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	silent := listen(t, "127.0.0.1:0")
	etcd := func(c *server.Config) { c.Etcd = []string{silent} }
	err := create(t, etcd).Start(t.Context())
	wantFailure(t, "silent", err, object.ErrUnavailable, silent)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantFailure(t, "in a hurry", create(t, etcd).Start(ctx), object.ErrDeadlineExceeded, "coordination store")
}

func TestCodeOfAClusterThatTheServerDoesNotFit(t *testing.T) {
	t.Parallel()
	var coordinators server.Coordinators
	shared := func(shards int) *server.Server {
		f := create(t)
		s := server.NewShared(&server.Config{
			ListenAddress: "127.0.0.1:0", Shards: shards, Registry: newRegistry(t), Logger: f.logger(), Etcd: []string{server.Memory},
		}, &coordinators)
		t.Cleanup(func() { _ = s.Stop(context.Background()) })
		return s
	}
	if err := shared(64).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, "other shards", shared(32).Start(t.Context()), object.ErrFailedPrecondition, "it has 64 shards")
}

// The error of a stop has a code as well; that the server has stopped is certain.
func TestCodeOfAFailedStop(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Fail(errors.New("broken"))
	err := f.Stop(t.Context())
	wantError(t, "stop", err, object.ErrInternal, object.ExecutedYes)
	if err == nil || err.Error() != "stop server: broken (internal)" {
		t.Errorf("stop: %v", err)
	}
}
