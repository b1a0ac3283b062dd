package grpc_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/internal/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, c := range transporttest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Run(t, transporttest.Net{
				New:     func(*testing.T) transport.Transport { return grpc.New(grpc.Config{}) },
				Address: func() string { return "127.0.0.1:0" },
			})
		})
	}
}
