package crew_test

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/util/crew"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open is a crew that ends with the test, or inside its bubble.
func open(t *testing.T, idle int) *crew.Crew[func()] {
	t.Helper()
	c := crew.New(func(f func()) { f() }, idle)
	t.Cleanup(func() { end(c) })
	return c
}

func end(c *crew.Crew[func()]) {
	c.Close()
	c.Wait()
}

// TestNoTaskWaitsForAnother: whatever blocks, all that came after it begins.
func TestNoTaskWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crew.New(func(f func()) { f() }, 0)
		defer end(c)
		var begun atomic.Int32
		let := make(chan struct{})
		block := func() { begun.Add(1); <-let }
		c.Go(block, block, block)
		for range 7 {
			c.Go(block)
		}
		synctest.Wait()
		if n := begun.Load(); n != 10 {
			t.Errorf("%d tasks of 10 have begun", n)
		}
		for range 5 {
			c.Go(func() { begun.Add(1) }, block)
		}
		synctest.Wait()
		if n := begun.Load(); n != 20 {
			t.Errorf("%d tasks of 20 have begun", n)
		}
		close(let)
	})
}

// TestTasksBeginInOrder: on one processor, tasks that do not block run in the order in which they came.
func TestTasksBeginInOrder(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := open(t, 0)
	var got []int
	var all sync.WaitGroup
	var tasks []func()
	for i := range 5000 {
		all.Add(1)
		tasks = append(tasks, func() { got = append(got, i); all.Done() })
	}
	for part := range slices.Chunk(tasks, 1700) {
		c.Go(part...)
	}
	all.Wait()
	if !slices.IsSorted(got) || len(got) != 5000 {
		t.Errorf("%d tasks ran, in order: %v", len(got), slices.IsSorted(got))
	}
}

// TestShortTasksShareAWorker: what a crew is for.
func TestShortTasksShareAWorker(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := open(t, 0)
	var all sync.WaitGroup
	tasks := make([]func(), 1000)
	before := runtime.NumGoroutine()
	most := before
	for i := range tasks {
		all.Add(1)
		tasks[i] = func() { most = max(most, runtime.NumGoroutine()); all.Done() }
	}
	c.Go(tasks...)
	all.Wait()
	if most-before > 10 {
		t.Errorf("%d workers for tasks that do not block", most-before)
	}
}

func TestWorkersThatHaveNothingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 20
		c := crew.New(func(f func()) { f() }, most)
		defer end(c)
		outside := runtime.NumGoroutine()
		workers := func() int { synctest.Wait(); return runtime.NumGoroutine() - outside }
		together := func(n int) {
			let, idle := make(chan struct{}), workers()
			for range n {
				c.Go(func() { <-let })
			}
			if got := workers(); got != max(n, idle) {
				t.Errorf("%d workers for %d tasks that block, %d waited", got, n, idle)
			}
			close(let)
			synctest.Wait()
		}
		together(10)
		if got := workers(); got != 10 {
			t.Errorf("%d workers wait, want 10", got)
		}
		together(most + 5)
		if got := workers(); got != most {
			t.Errorf("%d workers wait, want %d at most", got, most)
		}
		c.Trim() // the first only begins to look
		together(3)
		c.Trim()
		if got := workers(); got != 3 {
			t.Errorf("%d workers wait, want the 3 that had something to do", got)
		}
		c.Trim()
		c.Trim()
		if got := workers(); got != 0 {
			t.Errorf("%d workers wait, want none after some time", got)
		}
		together(2)
	})
}

// TestTasksMayEndTheirGoroutine: a crew replaces who has gone.
func TestTasksMayEndTheirGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crew.New(func(f func()) { f() }, 0)
		defer end(c)
		var ran atomic.Int32
		exit := func() { ran.Add(1); runtime.Goexit() }
		c.Go(exit, exit, exit)
		synctest.Wait()
		c.Go(exit, func() { ran.Add(1) })
		synctest.Wait()
		if n := ran.Load(); n != 5 {
			t.Errorf("%d tasks of 5 ran", n)
		}
	})
}

// TestCloseRunsWhatIsThere: Close ends the crew, not its tasks.
func TestCloseRunsWhatIsThere(t *testing.T) {
	t.Parallel()
	for range 100 {
		c := crew.New(func(f func()) { f() }, 0)
		var ran atomic.Int32
		for range 50 {
			c.Go(func() { ran.Add(1) }, func() { runtime.Gosched(); ran.Add(1) })
		}
		end(c)
		end(c)
		if n := ran.Load(); n != 100 {
			t.Fatalf("%d tasks of 100 ran", n)
		}
	}
}

func BenchmarkCrew(b *testing.B) {
	for name, n := range map[string]int{"1": 1, "16": 16, "64": 64} {
		b.Run(name, func(b *testing.B) {
			var all sync.WaitGroup
			c := crew.New(func(struct{}) { all.Done() }, 0)
			tasks := make([]struct{}, n)
			b.ReportAllocs()
			for range b.N / n {
				all.Add(n)
				c.Go(tasks...)
				all.Wait()
			}
			c.Close()
			c.Wait()
		})
	}
}
