package client_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

func TestListTellsWhoIsConnected(t *testing.T) {
	t.Parallel()
	f := start(t)
	old := f.connect() // one call: Who
	session := f.begin()
	for range 3 {
		if err := f.svc.Push(t.Context(), session.object, wrapperspb.String("word")); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.svc.Push(t.Context(), old.object, wrapperspb.String("word")); err != nil {
		t.Fatal(err)
	}
	list := f.svc.List(&inspectmsg.ClientsRequest{})
	if list.GetTotal() != 2 || len(list.GetClients()) != 2 {
		t.Fatalf("%v", list)
	}
	for i, want := range []*inspectmsg.ClientInfo{
		{Object: old.object, Kind: "register", Calls: 1, Pushes: 1},
		{Object: session.object, Kind: "session", Calls: 1, Pushes: 3, Queued: 3},
	} {
		got := list.GetClients()[i]
		if got.GetObject() != want.GetObject() || got.GetKind() != want.GetKind() || got.GetCalls() != want.GetCalls() || got.GetPushes() != want.GetPushes() {
			t.Errorf("client %d: %v, want %v", i, got, want)
		}
		if want.GetQueued() != 0 && (got.GetQueued() != want.GetQueued() || got.GetQueuedBytes() == 0) {
			t.Errorf("client %d: %v, want %d that wait", i, got, want.GetQueued())
		}
		if !strings.HasPrefix(got.GetPeer(), "127.0.0.1:") || got.GetConnectedUs() == 0 {
			t.Errorf("client %d: %v: where from, and since when?", i, got)
		}
	}
	for _, secret := range []string{old.id, session.welcome.GetClientId()} {
		if strings.Contains(list.String(), secret) {
			t.Error("a secret is told")
		}
	}
	if n := f.svc.Pushes(); n != 4 {
		t.Errorf("%d pushes, want 4", n)
	}
	session.cut()
	until(t, "the session is away", func() bool {
		c := f.svc.List(&inspectmsg.ClientsRequest{Offset: 1}).GetClients()
		return len(c) == 1 && c[0].GetKind() == "session, away" && c[0].GetPeer() == ""
	})
}

func TestListHasPages(t *testing.T) {
	t.Parallel()
	f := start(t)
	var all []string
	for range 5 {
		all = append(all, f.connect().object)
	}
	var got []string
	for offset := uint32(0); offset < 6; offset += 2 {
		for _, c := range f.svc.List(&inspectmsg.ClientsRequest{Limit: 2, Offset: offset}).GetClients() {
			got = append(got, c.GetObject())
		}
	}
	if !slices.Equal(got, all) {
		t.Errorf("%q, want the longest connected first: %q", got, all)
	}
	if list := f.svc.List(&inspectmsg.ClientsRequest{Offset: 1<<32 - 1, Limit: 1<<32 - 1}); len(list.GetClients()) != 0 || list.GetTotal() != 5 {
		t.Errorf("beyond the end: %v", list)
	}
}

// Who disconnects a client because it does not read is told which.
func TestSlowClientsAreTold(t *testing.T) {
	t.Parallel()
	slow := make(chan string, 2)
	tell := func(cfg *client.Config, _ *fixture) noCreds {
		cfg.TooSlow = func(id string) { slow <- id }
		cfg.Limits.QueueMessages = 1
		return nil
	}
	f := start(t, tell)
	for _, id := range []string{f.connect().object, f.begin().object} {
		big := wrapperspb.String(strings.Repeat("x", 1<<18))
		for f.svc.Push(t.Context(), id, big) == nil { // until it is disconnected
			continue
		}
		if got := <-slow; got != id {
			t.Errorf("told %q, want %q", got, id)
		}
	}
}
