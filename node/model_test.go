package node_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// The model test lets random operations run on a few objects in virtual time and
// checks what came of them against rules that need no knowledge of the runtime:
//
//   - who may run beside whom (watched by the objects),
//   - what the answer to an operation says about whether it ran,
//   - which errors an operation may get at all,
//   - calls begin in the order of their arrival,
//   - activations of one object follow each other, each with a beginning and an end,
//   - none ends before its idle time, and all end after it.
const modelIdle = time.Second

func TestModel(t *testing.T) {
	t.Parallel()
	checkModel(t, false)
}

// Two chains that wait for each other are no cycle that is refused. They end at their
// deadlines, they and those that wait for them, and nobody else does.
func TestModelOfChainsThatWaitForEachOther(t *testing.T) {
	t.Parallel()
	n := checkModel(t, true)
	t.Logf("%d operations expired", n)
	if n == 0 {
		t.Error("no two chains waited for each other")
	}
}

func checkModel(t *testing.T, crosswise bool) (expired int) {
	t.Helper()
	drawn, least := rapid.Custom(func(rt *rapid.T) *op { return drawOp(rt, crosswise, nil) }), 1
	if crosswise {
		least = 20
	}
	rapid.Check(t, func(rt *rapid.T) {
		ops := rapid.SliceOfN(drawn, least, 60).Draw(rt, "ops")
		problems, n := runScenario(t, ops)
		if expired += n; len(problems) > 0 {
			rt.Fatalf("%s\nin %v", strings.Join(problems, "\n"), ops)
		}
	})
	return expired
}

// runScenario carries operations out and returns what was wrong, and how many of them ended
// because two chains waited for each other.
func runScenario(t *testing.T, ops []*op) (problems []string, expired int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, clock.Virtual(),
			typed((*hooked)(nil), "Model", object.IdleTimeout(modelIdle)),
			typed((*hooked)(nil), "ModelLoop", object.IdleTimeout(modelIdle), object.Reentrant()))
		defer w.sweep()()
		s := &scenario{w: w, up: make(map[string]int), isUp: make(map[string]bool), lastEnd: make(map[string]time.Time)}
		w.on("op", s.act)
		w.on("OnCreate", s.create)
		w.on("OnActivate", s.activate)
		w.on("OnDeactivate", s.deactivate)
		var wg sync.WaitGroup
		for _, o := range ops {
			wg.Go(func() { s.launch(o) })
		}
		wg.Wait()
		sleep(object.DefaultCallTimeout + 20*time.Second) // what was left behind ends, and everything is let go
		if n := w.Activations(); n != 0 {
			s.problem("%d objects were not let go", n)
		}
		if err := w.Stop(t.Context()); err != nil {
			s.problem("Stop: %v", err)
		}
		s.judge()
		if t.Failed() {
			s.problem("turns overlapped: see above")
		}
		problems, expired = s.problems, s.expired
	})
	return problems, expired
}
