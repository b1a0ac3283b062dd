package etcd_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/coordtest"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Members do not wait for the idle connections to their peers, which they close. The Store uses no net/http.
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"),
		goleak.IgnoreAnyFunction("net/http.(*conn).serve"),
	)
}

// Package embedded has the same for one member.
func TestConformanceOnThreeMembers(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 3, nil)
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	coordtest.Exercise(t, func(*testing.T) coord.Store { return s })
}
