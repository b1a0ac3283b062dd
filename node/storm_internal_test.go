package node

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// stormed is a lens that one observation looks through, and a turn of which it can be told that it failed.
func stormed(clk clock.Clock) (*lens, *turn) {
	l := &lens{node: &Node{cfg: Config{Clock: clk}}, observations: make(map[*Observation]struct{})}
	l.observations[&Observation{lens: l}] = struct{}{}
	return l, &turn{act: &activation{id: "T-a", typ: &object.Type{Name: "T"}}, entry: firstMethod}
}

// failUnderLock is the goroutine that the test below looks for.
func failUnderLock(l *lens, t *turn, times int, done chan<- struct{}) {
	defer close(done)
	for range times {
		l.failed(t, errors.New("no"))
	}
}

// Turns that fail and were not picked never wait for the lens's mutex: they get on, and are counted, while somebody holds it.
func TestErrorsThatWereNotPickedTakeNoMutex(t *testing.T) {
	t.Parallel()
	l, failing := stormed(clock.System())
	l.failing.mask.Store(^uint64(0)) // as little as can be is picked
	const storm = 1000
	done := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	go failUnderLock(l, failing, storm, done)
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			if waitsForMutex("failUnderLock") {
				t.Fatal("a failed turn waits for the mutex")
			}
			runtime.Gosched()
		}
	}
	if got := l.faults.of(methodKey{failing.act.typ, failing.entry}).count.Load(); got != storm {
		t.Errorf("%d of %d errors are counted", got, storm)
	}
}

// waitsForMutex says whether a goroutine that runs a function of that name waits for a mutex.
func waitsForMutex(function string) bool {
	text := make([]byte, 1<<20)
	text = text[:runtime.Stack(text, true)]
	for stack := range bytes.SplitSeq(text, []byte("\n\n")) {
		if head, rest, _ := bytes.Cut(stack, []byte("\n")); bytes.Contains(head, []byte("[sync.Mutex.Lock")) && bytes.Contains(rest, []byte(function+"(")) {
			return true
		}
	}
	return false
}

// Of a storm of errors in no time at all hardly any take the mutex: the sampler counts those that do.
func TestStormsOfErrorsSpareTheMutex(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where no time passes
		l, failing := stormed(clock.Virtual())
		const storm = 100_000
		for range storm {
			l.failed(failing, errors.New("no"))
		}
		// Half a quota goes with each halving, and count has what came since.
		took := samplerQuota/2*l.failing.shift() + l.failing.count
		if took < samplerQuota || took > storm/50 {
			t.Errorf("%d of %d errors took the mutex", took, storm)
		}
	})
}
