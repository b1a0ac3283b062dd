package node_test

import (
	"errors"
	"testing"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// Elsewhere says of a call what Call would say of it.
func TestElsewhereSaysWhatCallDoes(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
		check := func(what, id, method string) {
			t.Helper()
			e, ok := a.Elsewhere(id, method, object.Expr{})
			_, err := a.Node.Call(t.Context(), id, method, word("note x"))
			if ok != errors.Is(err, node.ErrElsewhere) {
				t.Errorf("%s: %t, Call: %v", what, ok, err)
			}
			if ok && (e.Type.Name != "Plain" || e.Method.Name != method || e.Shard != a.ShardOf(id)) {
				t.Errorf("%s: it says %+v", what, e)
			}
		}
		own, foreign := places(a, b, "Plain-a"), places(a, b, "Plain-A")
		check("its own", own, "Write")
		check("another's", foreign, "Write")
		check("another's, unknown method", foreign, "Missing")
		check("no ID", "Plain", "Write")
		check("no type", "Absent-1", "Write")
		if _, ok := a.Elsewhere(foreign, "Write", object.Expr{}); !ok {
			t.Error("the other node's object is not elsewhere")
		}
		a.Suspend(errLease)
		check("another's, while suspended", foreign, "Write")
		a.Resume()
	})
}
