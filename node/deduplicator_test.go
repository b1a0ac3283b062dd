package node_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

// ledger keeps its own record of keys.
type ledger struct {
	actor

	record map[string]string
}

func (l *ledger) Lookup(_ context.Context, key string) (proto.Message, bool) {
	if key == "panic" {
		panic(key)
	}
	out, ok := l.record[key]
	return wrapperspb.String(out), ok
}

func (l *ledger) Remember(_ context.Context, key string, reply proto.Message) {
	if l.record == nil {
		l.record = make(map[string]string)
	}
	l.record[key] = reply.(*str).GetValue() + " of old"
}

func TestObjectsOwnRecord(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.countRuns()
		for i, want := range []string{"run 1", "run 1 of old", "run 1 of old"} {
			if out, err := w.keyed("Ledger-a", "Write", "k", "run"); err != nil || out != want {
				w.t.Errorf("call %d: %q, %v", i, out, err)
			}
		}
		for want := 2; want < 4; want++ { // what failed is not remembered
			_, err := w.keyed("Ledger-a", "Write", "f", "run fail")
			wantErr(w.t, err, object.ErrAborted, object.ExecutedYes, fmt.Sprint("run ", want))
		}
		_, err := w.keyed("Ledger-a", "Write", "panic", "run")
		wantErr(w.t, err, object.ErrInternal, object.ExecutedYes)
		if out, err := w.keyed("Ledger-a", "Write", "k", "run"); err != nil || out != "run 4" {
			w.t.Errorf("on the next activation: %q, %v", out, err)
		}
	}, typed((*ledger)(nil), "Ledger"))
}
