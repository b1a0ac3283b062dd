package server_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// outcome is a call's.
type outcome struct {
	reply proto.Message
	err   error
}

func (f *fixture) callLater(ctx context.Context, id, method string) <-chan outcome {
	return started(func() outcome {
		reply, err := f.CallObject(ctx, id, method, nil)
		return outcome{reply, err}
	})
}

func (f *fixture) stopLater() <-chan error {
	return started(func() error { return f.Stop(context.Background()) })
}

// awaitRefusal returns when calls from outside are refused.
func (f *fixture) awaitRefusal(t *testing.T, id string) error {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, err := f.CallObject(t.Context(), id, "Add", wrapperspb.Int64(0)); err != nil {
			return err
		}
	}
	t.Fatal("calls are not refused")
	return nil
}

func TestStopLetsRunningCallsFinish(t *testing.T) {
	t.Parallel()
	f := start(t)
	running := f.callLater(context.Background(), "Box-1", "Block")
	f.probe.awaitEntered(t)
	f.add(t, "Box-2", 1)
	stopped := f.stopLater()
	wantError(t, "a new call", f.awaitRefusal(t, "Box-2"), object.ErrUnavailable, object.ExecutedNo)
	_, err := f.CreateObject(t.Context(), "Box", "Box-3", nil)
	wantError(t, "a creation", err, object.ErrUnavailable, object.ExecutedNo)
	if f.Stopped() {
		t.Error("stopped beside a running call")
	}
	close(f.probe.release)
	if out := receive(t, running, "the running call"); out.err != nil || out.reply.(*text).GetValue() != "released" {
		t.Errorf("the running call: %v, %v", out.reply, out.err)
	}
	if err := receive(t, stopped, "Stop"); err != nil {
		t.Errorf("stop: %v", err)
	}
	f.probe.await(t, "deactivate Box-1 stopping")
	f.probe.await(t, "deactivate Box-2 stopping")
	_, err = f.CallObject(t.Context(), "Box-1", "Add", nil)
	wantError(t, "a call after the stop", err, object.ErrUnavailable, object.ExecutedNo)
	wantError(t, "a push after the stop", f.PushMessage(t.Context(), "User-1", wrapperspb.String("")), object.ErrUnavailable, object.ExecutedNo)
}

func TestConcurrentStops(t *testing.T) {
	t.Parallel()
	for range 50 {
		f := start(t, withoutClients)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if err := f.Stop(t.Context()); err != nil {
					t.Errorf("stop: %v", err)
				}
				if !f.Stopped() {
					t.Error("Stop returned before the server had stopped")
				}
			})
		}
		wg.Wait()
		receive(t, f.Done(), "Done")
	}
}

// Whichever comes first, in the end the server has stopped, and nobody waits for ever.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	for range 100 {
		f := create(t, withoutClients)
		f.record(t, "Box-1", "")
		begun := started(func() error { return f.Start(t.Context()) })
		stopped := f.stopLater()
		_ = receive(t, begun, "Start to return") // nil where it was ready first
		if err := receive(t, stopped, "Stop to return"); err != nil {
			t.Fatalf("stop: %v", err)
		}
		receive(t, f.Done(), "Done")
		_, err := f.CallObject(t.Context(), "Box-1", "Add", nil)
		wantError(t, "call", err, object.ErrUnavailable, object.ExecutedNo)
	}
}

func TestStopGivesUpWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	f := start(t, withoutClients, func(c *server.Config) { c.DrainTimeout = time.Hour })
	running := f.callLater(context.Background(), "Box-1", "Block")
	f.probe.awaitEntered(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := started(func() error { return f.Stop(ctx) })
	f.awaitRefusal(t, "Box-2")
	cancel(errors.New("the operator lost patience"))
	out := receive(t, running, "the call to be cancelled")
	if object.CodeOf(out.err) != object.CodeCanceled || object.Executed(out.err) != object.ExecutedUnknown {
		t.Errorf("the call: %v, executed %v, want it cancelled while it ran", out.err, object.Executed(out.err))
	}
	if err := receive(t, stopped, "Stop to return"); err != nil {
		t.Errorf("stop: %v: the call has heard", err)
	}
	f.probe.await(t, "deactivate Box-1 stopping")
	receive(t, f.Done(), "Done")
}

// A call that does not hear cannot hold up the stop; the stop's error names its object,
// also when Stop is called again.
func TestStopBesideADeafCall(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *server.Config) { c.DrainTimeout = 50 * time.Millisecond })
	running := f.callLater(context.Background(), "Box-deaf", "Deaf")
	f.probe.awaitEntered(t)
	f.add(t, "Box-2", 1)
	err := receive(t, f.stopLater(), "Stop to return")
	if !errors.Is(err, object.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "Box-deaf") || strings.Contains(err.Error(), "Box-2") {
		t.Errorf("stop: %v, want it to name Box-deaf alone", err)
	}
	if again := f.Stop(t.Context()); again == nil || again.Error() != err.Error() {
		t.Errorf("stop again: %v, want %v", again, err)
	}
	f.probe.await(t, "deactivate Box-2 stopping")
	close(f.probe.release)
	_ = receive(t, running, "the call to return")
}

// The shorter limit counts, and a later Stop may shorten it.
func TestLaterStopMayBeShorter(t *testing.T) {
	t.Parallel()
	f := start(t, withoutClients, func(c *server.Config) { c.DrainTimeout = time.Hour })
	running := f.callLater(context.Background(), "Box-1", "Deaf")
	f.probe.awaitEntered(t)
	patient := f.stopLater()
	f.awaitRefusal(t, "Box-2")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	impatient := started(func() error { return f.Stop(ctx) })
	for who, c := range map[string]<-chan error{"impatient": impatient, "patient": patient} {
		if err := receive(t, c, who+" Stop to return"); err == nil || !strings.Contains(err.Error(), "Box-1") {
			t.Errorf("%s stop: %v, want it to name Box-1", who, err)
		}
	}
	close(f.probe.release)
	_ = receive(t, running, "the call to return")
}
