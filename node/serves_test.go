package node_test

import (
	"testing"
	"testing/synctest"
)

// Serves tells what Gate does, whatever happens to a shard.
func TestServesTellsWhatTheGateDoes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.ids("Plain", 6, 1)[0]
		check := func(what string, epoch uint64, isOpen bool) {
			w.t.Helper()
			gotEpoch, got := w.Serves(6)
			wantEpoch, want, _ := w.Gate(6)
			if gotEpoch != wantEpoch || got != want || got != isOpen || gotEpoch != epoch {
				w.t.Errorf("%s: serves %d, %t; the gate says %d, %t; want %d, %t", what, gotEpoch, got, wantEpoch, want, epoch, isOpen)
			}
		}
		do := func(err error) {
			w.t.Helper()
			if err != nil {
				w.t.Error(err)
			}
		}
		check("at first", 1, true)
		w.Suspend(errLease)
		check("suspended", 1, false)
		w.Resume()
		check("resumed", 1, true)
		p := w.begin(id, "Write", "hold busy")
		drained := make(chan error, 1)
		go func() { _, err := w.DrainShard(w.t.Context(), 6, 1); drained <- err }()
		synctest.Wait()
		check("draining", 1, false)
		w.open("busy")
		p.ok("busy")
		do(<-drained)
		check("drained", 1, false)
		do(w.ReopenShard(6, 1, nil))
		check("reopened", 1, true)
		w.ReleaseShard(6, 1)
		check("released", 0, false)
		do(w.OpenShard(w.t.Context(), 6, 5, nil))
		check("opened again", 5, true)
		do(w.OpenShard(w.t.Context(), 6, 9, nil))
		check("opened later", 9, true)
	})
}
