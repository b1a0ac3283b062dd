package server_test

import (
	"context"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/goverseapi"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/server"
)

// Trace says in which trace the call is.
func (o *Tally) Trace(ctx context.Context, _ *empty) (*text, error) {
	parent, state := w3c.Of(ctx)
	return wrapperspb.String(parent + " " + state), nil
}

// A call is in its caller's trace, also on another server; and in none, whatever the servers were started in.
func TestTraceContextCrossesServers(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c := &company{t, &server.Coordinators{}}
	servers := []*server.Server{c.found(), c.found()}
	for _, s := range servers {
		if err := s.Start(w3c.With(t.Context(), "00-00000000000000000000000000000001-0000000000000001-01", "")); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range servers { // wherever the object is, one of them is not there
		for _, ask := range []struct {
			ctx  context.Context
			want string
		}{
			{w3c.With(t.Context(), parent, "a=1"), parent + " a=1"},
			{t.Context(), " "},
		} {
			got, err := goverseapi.Invoke(s.Context(ask.ctx), "Tally-traced", (*Tally).Trace, nil)
			if err != nil || got.GetValue() != ask.want {
				t.Errorf("the trace context is %q, %v, want %q", got.GetValue(), err, ask.want)
			}
		}
	}
}
