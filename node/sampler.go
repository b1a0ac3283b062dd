package node

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
	"unsafe"
)

// The pace of what is looked at: a call that is costs about a microsecond.
const (
	samplerTick  = 100 * time.Millisecond
	samplerQuota = 200 // turns in a tick, from which on fewer are picked
	maxShift     = 20
)

// sampler picks turns at random, one in 2^shift: all of them while there are few, and so
// many that a tick's quota lasts for the tick where there are more. The choice is a hash of
// the turn's address with a seed that changes: for any address it is picked for one in
// 2^shift seeds, so that no method is favoured, and it costs a multiplication.
type sampler struct {
	seed  atomic.Uint64
	shift atomic.Uint32

	since time.Duration // guarded by the lens: when the tick began
	count int           // guarded by the lens: turns picked in the tick
}

// picks returns how many turns this one stands for; zero: it is not picked.
func (s *sampler) picks(t *turn) (weight uint64) {
	const golden = 0x9e3779b97f4a7c15 // 2^64 / φ: multiples of it lie evenly (Knuth, TAOCP 6.4)
	shift := s.shift.Load()
	address := uint64(uintptr(unsafe.Pointer(t))) //nolint:gosec // G103: a number, never made a pointer again
	if (address*golden+s.seed.Load())>>(64-shift) != 0 {
		return 0
	}
	return 1 << shift
}

// picked notes that a turn was picked.
func (s *sampler) picked(now time.Duration) {
	s.advance(now)
	if s.count++; s.count < samplerQuota || s.shift.Load() >= maxShift {
		return
	}
	s.count = samplerQuota / 2
	s.shift.Add(1)
	s.seed.Store(rand.Uint64()) //nolint:gosec // G404: no secret
}

// advance begins a new tick where the time for it has come: with more turns picked, where
// the last ones had much less than their quota.
func (s *sampler) advance(now time.Duration) {
	ticks := (now - s.since) / samplerTick
	if ticks <= 0 {
		return
	}
	shift := s.shift.Load()
	if s.count >= samplerQuota/4 {
		ticks--
	}
	s.shift.Store(shift - min(shift, uint32(min(ticks, maxShift))))
	s.seed.Store(rand.Uint64()) //nolint:gosec // G404: no secret
	s.since, s.count = now, 0
}

// draws is picks for what is no turn.
func (s *sampler) draws() (weight uint64) {
	shift := s.shift.Load()
	if rand.Uint64()>>(64-shift) != 0 { //nolint:gosec // G404: no secret
		return 0
	}
	return 1 << shift
}
