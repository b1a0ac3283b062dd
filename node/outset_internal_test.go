package node

import (
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/util/ends"
)

// However many goroutines of a turn call other nodes at once, each has a departure and each who follows a joint of its own:
// of the memory that is there for one, nobody else gets any, later neither.
func TestTheOutsetIsUsedOnce(t *testing.T) {
	t.Parallel()
	for range 2000 {
		one := new(turn)
		var mu sync.Mutex
		away, joints := make(map[*departure]bool), make(map[*ends.Joint]bool)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 2 {
					d := one.departure()
					j := one.extra().newJoint()
					mu.Lock()
					if away[d] || joints[j] || d.turn != nil || j.Up[0].Told != ends.Told(j) {
						t.Error("memory is used twice, or not ready")
					}
					away[d], joints[j] = true, true
					mu.Unlock()
				}
			})
		}
		all.Wait()
		o := one.rare.Load().outset
		if !away[&o.away] || !joints[&o.joint] {
			t.Error("the memory that is there is not used")
		}
		if t.Failed() {
			return
		}
	}
}
