package node

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
	"github.com/xiaonanln/goverse/util/clock"
)

// BenchmarkTelling is what a node does in half a second for a tab on the graph of objects, beside looking at calls: it puts together those that it has
// looked at, for the two streams that an inspector has then.
func BenchmarkTelling(b *testing.B) {
	const looked, objects = 375, 2048
	n := New(Config{Registry: object.NewRegistry(), Clock: clock.System()})
	base, details := n.Observe(), n.Observe()
	defer base.Close()
	defer details.Close()
	details.Aim(aimOfDetails())
	l := base.lens
	method := methodKey{&object.Type{Name: "Tally"}, entry(onActivate)}
	ids := make([]string, objects)
	for i := range ids {
		ids[i] = fmt.Sprint("Tally-", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range looked / landing {
			l.mu.Lock()
			for range landing {
				l.landed = append(l.landed, &sample{lens: l, object: ids[rand.IntN(objects)], method: method, weight: 64, ended: time.Duration(rand.IntN(1e6)), runs: true})
			}
			l.settle()
			l.mu.Unlock()
		}
		_, _ = base.Collect(), details.Collect()
	}
}

func aimOfDetails() *inspectmsg.WatchRequest {
	return &inspectmsg.WatchRequest{Objects: true, DetailsOnly: true}
}
