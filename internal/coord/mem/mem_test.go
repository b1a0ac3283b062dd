package mem_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/coordtest"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformanceOnVirtualTime(t *testing.T) {
	t.Parallel()
	for _, c := range coordtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := mem.New(clock.Virtual(), mem.Options{})
				t.Cleanup(s.Close)
				c.Run(t, s.Connect())
			})
		})
	}
}

// On real time, and all tests on one store, as the suite will meet etcd.
func TestConformanceOnRealTime(t *testing.T) {
	t.Parallel()
	s := mem.New(clock.System(), mem.Options{MinTTL: time.Second})
	t.Cleanup(s.Close)
	coordtest.Exercise(t, func(t *testing.T) coord.Store {
		t.Helper()
		c := s.Connect()
		t.Cleanup(c.Close)
		return c
	})
}
