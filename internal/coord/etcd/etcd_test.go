package etcd_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/coordtest"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformanceOnOneMember(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, nil)
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	coordtest.Exercise(t, func(*testing.T) coord.Store { return s })
}

func TestConformanceOnThreeMembers(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 3, nil)
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	coordtest.Exercise(t, func(*testing.T) coord.Store { return s })
}
