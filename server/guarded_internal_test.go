package server

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// Parrot is a client type.
type Parrot struct{ object.BaseClient }

var errShy = errors.New("it does not speak")

// Say says what it is told, but not nothing.
func (*Parrot) Say(_ context.Context, req *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	if req.GetValue() == "" {
		return nil, errShy
	}
	return req, nil
}

// A call's memory is used again after a good end only: of others somebody may know still.
func TestWhichCallsOfClientsAreUsedAgain(t *testing.T) {
	t.Parallel()
	reg := object.NewRegistry()
	if err := reg.RegisterClientType((*Parrot)(nil)); err != nil {
		t.Fatal(err)
	}
	n := node.New(node.Config{Registry: reg, Clock: clock.System(), Logger: slog.New(slog.DiscardHandler), AppError: grpcerr.FromApp})
	defer func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if err := n.AttachClient(t.Context(), "Parrot-polly"); err != nil {
		t.Fatal(err)
	}
	valid := true
	g := &guarded{Node: n, valid: func() bool { return valid }}
	call := func(method string, word byte) (object.Reply, error) {
		c := g.Accept(t.Context(), object.Request{ID: "Parrot-polly", Method: method, Message: "google.protobuf.StringValue", Body: []byte{1<<3 | 2, 1, word}})
		defer c.Spent()
		return c.Run()
	}
	if _, err := call("Shout", 'a'); !errors.Is(err, object.ErrUnimplemented) {
		t.Errorf("an unknown method: %v", err)
	}
	c := g.Accept(t.Context(), object.Request{ID: "Parrot-polly", Method: "Say"})
	if _, err := c.Run(); err == nil {
		t.Error("the method's error is lost")
	}
	c.Spent()
	valid = false
	if _, err := call("Say", 'b'); !errors.Is(err, object.ErrFenced) || object.Executed(err) != object.ExecutedNo {
		t.Errorf("without a lease: %v", err)
	}
	valid = true
	if kept := g.calls.Get(); kept != nil {
		t.Errorf("a call that failed is kept: %+v", kept)
	}
	used := false
	for word := byte('a'); word <= 'z'; word++ {
		reply, err := call("Say", word)
		if err != nil || len(reply.Body) != 3 || reply.Body[2] != word {
			t.Errorf("asked for %c it says %q, %v", word, reply.Body, err)
		}
		if kept := g.calls.Get(); kept != nil { // the race detector loses some
			used = true
			g.calls.Put(kept)
		}
	}
	if !used {
		t.Error("no call is used again")
	}
}
