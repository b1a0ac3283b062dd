package routing_test

import (
	"strings"
	"testing"
)

// what a stopped server says of a call names the call, and says that the server has stopped.
func TestWhatAStoppedServerSays(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		p[0].must("cell-x", "add")
		p[0].close()
		p[0].Router.Close()
		_, err := p[0].do(s.Context(), "cell-x", "add")
		t.Log(err)
		if err == nil || !strings.Contains(err.Error(), "cell-x") || strings.Contains(err.Error(), "mov") {
			t.Errorf("%v", err)
		}
	})
}
