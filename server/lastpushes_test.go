package server_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/server"
)

// What was pushed to clients of other servers before a server stops in good order gets there.
func TestPushesOfAServerThatStops(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	near := c.join(func(cfg *server.Config) { cfg.ClientListenAddress = "127.0.0.1:0" })
	far := c.join()
	client, err := goverseclient.Dial(t.Context(), near.ClientAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	id := whoami(t, client)
	const pushes, size = 200, 10_000 // more than a connection takes at once
	for range pushes {
		if err := far.PushMessage(t.Context(), id, wrapperspb.String(strings.Repeat("x", size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := far.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range pushes {
		_ = receive(t, client.Pushes(), fmt.Sprintf("push %d of %d", i+1, pushes))
	}
}
