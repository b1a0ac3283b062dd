package node_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	_ = flag.Set("rapid.nofailfile", "true") // the seed it prints is enough
	goleak.VerifyTestMain(m)
}
