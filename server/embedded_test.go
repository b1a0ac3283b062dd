package server_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/server"
)

// The embedded etcd dies with its server, and an empty one may stand in its place at
// once, which knows nothing of the leases that it has given: the others may not answer any
// more, however long those were.
func TestTheEmbeddedEtcdsEndFencesTheOthers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := server.Embedded + l.Addr().String()
	l.Close()
	embedded := func(c *server.Config) {
		c.Etcd, c.LeaseTTL, c.DrainTimeout = []string{address}, 5*time.Minute, time.Second
	}
	first, second := start(t, embedded), start(t, embedded)
	m := second.Member()
	if !m.Valid() {
		t.Fatal("not valid at the start")
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	enough, cancel := context.WithTimeout(t.Context(), time.Minute) // a fifth of the lease
	defer cancel()
	for {
		changed := m.Changed()
		if !m.Valid() {
			break
		}
		select {
		case <-changed:
		case <-enough.Done():
			t.Fatal("not fenced")
		}
	}
}
