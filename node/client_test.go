package node_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/object"
)

func (w *world) hear(hooks ...string) {
	for _, hook := range hooks {
		w.on(hook, func(_ context.Context, _ *actor, arg string) (string, error) {
			w.note("%s %s", hook, arg)
			return "", nil
		})
	}
}

func TestClientObjectLivesWithItsConnection(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx := w.t.Context()
		w.hear("OnConnect", "OnDisconnect")
		_, err := w.do("Guest-1", "Say", "nothing")
		wantErr(w.t, err, object.ErrNotFound, object.ExecutedNo)
		if err := w.AttachClient(ctx, "Guest-1"); err != nil {
			w.t.Fatal(err)
		}
		wantErr(w.t, w.AttachClient(ctx, "Guest-1"), object.ErrAlreadyExists, object.ExecutedNo)
		wantErr(w.t, w.AttachClient(ctx, "Plain-1"), object.ErrInvalidArgument, object.ExecutedNo)
		w.must("Guest-1", "Say", "note said")
		turn := w.begin("Guest-1", "Say", "hold turn")
		queued := w.begin("Guest-1", "Say", "note queued")
		detached := make(chan error, 2)
		for range 2 { // twice is once
			go func() { detached <- w.DetachClient(ctx, "Guest-1", object.DisconnectLost) }()
			synctest.Wait()
		}
		late := w.begin("Guest-1", "Say", "note late")
		w.open("turn")
		turn.ok("turn")
		queued.ok("queued")
		for range 2 {
			if err := <-detached; err != nil {
				w.t.Errorf("DetachClient: %v", err)
			}
		}
		late.fails(object.ErrNotFound, object.ExecutedNo)
		_, err = w.do("Guest-1", "Say", "note later")
		wantErr(w.t, err, object.ErrNotFound, object.ExecutedNo)
		if err := w.DetachClient(ctx, "Guest-1", object.DisconnectLost); err != nil {
			w.t.Errorf("detaching what is gone: %v", err)
		}
		w.wantNotes("OnConnect ", "said", "turn", "queued", "OnDisconnect lost")
		if n := w.Activations(); n != 0 {
			w.t.Errorf("%d activations", n)
		}
	})
}

func TestClientRefusedByOnConnect(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"fail no", "panic no"} {
		inBubble(t, func(w *world) {
			w.hear("OnDisconnect")
			w.on("OnConnect", func(ctx context.Context, o *actor, _ string) (string, error) {
				<-w.gate("go")
				return o.acted(ctx, way)
			})
			attached := make(chan error, 1)
			go func() { attached <- w.AttachClient(w.t.Context(), "Guest-1") }()
			synctest.Wait()
			early := w.begin("Guest-1", "Say", "note early")
			detached := make(chan error, 1)
			go func() { detached <- w.DetachClient(w.t.Context(), "Guest-1", object.DisconnectLost) }()
			synctest.Wait()
			behind := w.begin("Guest-1", "Say", "note behind")
			w.open("go")
			if err := <-attached; object.Executed(err) != object.ExecutedNo {
				w.t.Errorf("AttachClient: %v", err)
			}
			if err := <-detached; err != nil {
				w.t.Errorf("DetachClient: %v", err)
			}
			for _, p := range []*pending{early, behind} {
				if _, err := p.wait(); object.Executed(err) != object.ExecutedNo {
					w.t.Errorf("a call: %v", err)
				}
			}
			w.wantNotes()
			if n := w.Activations(); n != 0 {
				w.t.Errorf("%d activations", n)
			}
		})
	}
}

// A client object that panics is gone, and the connection is told so.
func TestPanicOfAClientObject(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDisconnect")
		if err := w.AttachClient(w.t.Context(), "Guest-1"); err != nil {
			w.t.Fatal(err)
		}
		head := w.begin("Guest-1", "Say", "hold head")
		panics := w.begin("Guest-1", "Say", "panic")
		behind := w.begin("Guest-1", "Say", "note behind")
		w.open("head")
		head.ok("head")
		panics.fails(object.ErrInternal, object.ExecutedYes)
		behind.fails(object.ErrNotFound, object.ExecutedNo)
		w.wantNotes("head", "OnDisconnect kicked", "gone Guest-1")
		_, err := w.do("Guest-1", "Say", "note later")
		wantErr(w.t, err, object.ErrNotFound, object.ExecutedNo)
		if err := w.DetachClient(w.t.Context(), "Guest-1", object.DisconnectLost); err != nil {
			w.t.Error(err)
		}
		w.wantNotes()
		if err := w.AttachClient(w.t.Context(), "Guest-1"); err != nil { // the name is free
			w.t.Error(err)
		}
	})
}

// DetachClient does not wait longer than it may; the object ends all the same.
func TestDetachOfABusyClient(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDisconnect")
		if err := w.AttachClient(w.t.Context(), "Guest-1"); err != nil {
			w.t.Fatal(err)
		}
		turn := w.begin("Guest-1", "Say", "hold turn")
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		wantErr(w.t, w.DetachClient(ctx, "Guest-1", object.DisconnectTooSlow), object.ErrDeadlineExceeded, object.ExecutedNo)
		w.open("turn")
		turn.ok("turn")
		synctest.Wait()
		w.wantNotes("turn", "OnDisconnect too slow")
		if n := w.Activations(); n != 0 {
			w.t.Errorf("%d activations", n)
		}
	})
}

func TestStopDisconnectsClients(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDisconnect")
		for _, id := range []string{"Guest-1", "Guest-2"} {
			if err := w.AttachClient(w.t.Context(), id); err != nil {
				w.t.Fatal(err)
			}
		}
		turn := w.begin("Guest-1", "Say", "hold turn")
		stopped := w.stopping(w.t.Context())
		w.wantNotes("turn", "OnDisconnect stopping")
		w.open("turn")
		turn.ok("turn")
		if err := <-stopped; err != nil {
			w.t.Error(err)
		}
		w.wantNotes("OnDisconnect stopping")
	})
}
