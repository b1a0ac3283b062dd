package node

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"
	"unsafe"
)

// The pace of what is looked at: a call that is costs about a microsecond.
const (
	samplerTick  = 100 * time.Millisecond
	samplerQuota = 100 // turns in a tick, from which on fewer are picked
	roughQuota   = 20  // the same where nobody looks at the figures now: in a second they are right to some 10 %
	samplerCrowd = 50  // turns in a tick that make it busy, as do more than roughQuota where that holds
	busyFor      = time.Second
	maxShift     = 20
)

// sampler picks turns at random, one in so many: all of them while there are few, and so
// many that a tick's quota lasts for the tick where there are more. The choice is a hash of
// the turn's address with a seed that changes: for any address it falls on it for one in so
// many seeds, so that no method is favoured, and it costs a multiplication.
type sampler struct {
	seed atomic.Uint64 // even
	mask atomic.Uint64 // as many of its upper bits are set as often the number of turns was halved

	crowd atomic.Int64  // when there was last a tick with many turns, in ns
	since time.Duration // guarded by the lens: when the tick began
	count int           // guarded by the lens: turns picked in the tick
	rough bool          // guarded by the lens: roughQuota holds
}

// hashed is the number that decides about a turn: its bits under the mask are zero where the
// turn is picked.
func (s *sampler) hashed(t *turn) uint64 { return hashOf(t, s.seed.Load()) }

// hashOf is an even number where the seed is one, as addresses of turns are.
func hashOf(t *turn, seed uint64) uint64 {
	const golden = 0x9e3779b97f4a7c15                       // 2^64 / φ: multiples of it lie evenly (Knuth, TAOCP 6.4)
	return uint64(uintptr(unsafe.Pointer(t)))*golden + seed //nolint:gosec // G103: a number, never made a pointer again
}

// picks returns how many turns this one stands for; zero: it is not picked.
func (s *sampler) picks(t *turn) (weight uint64) { return s.weigh(s.hashed(t)) }

// draws is picks for what is no turn.
func (s *sampler) draws() (weight uint64) { return s.weigh(rand.Uint64()) } //nolint:gosec // G404: no secret

func (s *sampler) weigh(number uint64) (weight uint64) {
	mask := s.mask.Load()
	if number&mask != 0 {
		return 0
	}
	return 1 << bits.OnesCount64(mask)
}

// oneIn is how many turns one that is picked stands for.
func (s *sampler) oneIn() uint32 { return 1 << s.shift() }

func (s *sampler) shift() int { return bits.OnesCount64(s.mask.Load()) }

// set makes one in 2^shift turns picked, by a new seed.
func (s *sampler) set(shift int) {
	s.mask.Store(^(^uint64(0) >> shift))
	s.seed.Store(rand.Uint64() << 1) //nolint:gosec // G404: no secret
}

// picked notes that a turn was picked.
func (s *sampler) picked(now time.Duration) {
	s.advance(now)
	if s.count++; s.count == samplerCrowd || s.shift() > 0 {
		s.crowd.Store(int64(now))
	}
	if quota := s.quota(); s.count >= quota && s.shift() < maxShift {
		s.count = quota / 2
		s.set(s.shift() + 1)
	}
}

func (s *sampler) quota() int {
	if s.rough {
		return roughQuota
	}
	return samplerQuota
}

// busy reports whether there have been many turns just now.
func (s *sampler) busy(now time.Duration) bool {
	at := s.crowd.Load()
	return at > 0 && now-time.Duration(at) < busyFor
}

// advance begins a new tick where the time for it has come: with more turns picked, where
// the last ones had much less than their quota.
func (s *sampler) advance(now time.Duration) {
	ticks := int((now - s.since) / samplerTick)
	if ticks <= 0 {
		return
	}
	if s.count >= s.quota()/4 {
		ticks--
	}
	s.set(max(0, s.shift()-ticks))
	s.since, s.count = now, 0
}
