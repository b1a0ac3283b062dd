package shard_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/internal/shard"
)

// Whatever happens, in whatever order: a member never thinks that its lease is valid
// longer than the store keeps it, less the margin; who was fenced comes back by something
// read after a renewal, for as long as that renewal promised, and by nothing else, however
// many renewals came meanwhile; who is dead stays dead.
func TestLeaseErrsToTheSafeSide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.IntRange(2, 60).Draw(t, "ttl")) * time.Second
		margin := shard.Margin(ttl)
		if margin < ttl*15/100 || margin > ttl/5 && margin > ttl*15/100 {
			t.Fatalf("margin %v of %v", margin, ttl)
		}
		now := time.Duration(rapid.IntRange(0, 1000).Draw(t, "granted after")) * time.Millisecond
		l := shard.NewLease(0, now, ttl, shard.Flaws{})
		newest, proven := time.Duration(0), time.Duration(0) // when renewals were asked for: the newest, and the newest that counts
		begun, promised := time.Duration(-1), time.Duration(0)
		broken := time.Duration(-1) // the newest renewal when the store was last in doubt
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			now += time.Duration(rapid.IntRange(0, int(ttl/time.Millisecond)).Draw(t, "pause")) * time.Millisecond
			before := l
			fenced := l.State == shard.LeaseFenced || now >= l.ValidUntil
			e := shard.LeaseEvent{Kind: rapid.SampledFrom([]shard.LeaseEventKind{
				shard.LeaseTick, shard.LeaseTick, shard.LeaseRenewed, shard.LeaseRenewed, shard.LeaseRenewed, shard.LeaseVerified, shard.LeaseVerified, shard.LeaseLost, shard.LeaseRefuted, shard.LeaseDoubted,
			}).Draw(t, "event"), Now: now, TTL: ttl}
			read := time.Duration(0)
			switch e.Kind {
			case shard.LeaseRenewed:
				e.Sent = max(now-time.Duration(rapid.IntRange(0, int(ttl/time.Millisecond)).Draw(t, "took"))*time.Millisecond, newest)
				newest = e.Sent
				if !fenced {
					proven = newest
				}
			case shard.LeaseVerified: // a reading that began now, or when begun was set
				if begun < 0 {
					begun, promised = newest, l.Doubt()
				}
				e.Until, proven, read = promised, max(proven, begun), begun
				begun = -1
			case shard.LeaseDoubted:
				broken = newest
			case shard.LeaseTick, shard.LeaseLost, shard.LeaseRefuted:
			}
			l.Step(e)
			if begun < 0 && rapid.Bool().Draw(t, "begin to read") {
				begun, promised = newest, l.Doubt()
			}
			valid := l.State == shard.LeaseValid || l.State == shard.LeaseSuspect
			switch {
			case valid && now >= l.ValidUntil:
				t.Fatalf("valid at %v, until %v", now, l.ValidUntil)
			case valid && l.ValidUntil > proven+ttl-margin:
				t.Fatalf("valid until %v, proven at %v for %v", l.ValidUntil, proven, ttl)
			case valid && (e.Kind == shard.LeaseDoubted || fenced && read <= broken):
				t.Fatalf("back by what a store has said that may have died: %+v", l)
			case valid && fenced && e.Kind != shard.LeaseVerified:
				t.Fatalf("back without proof: %+v", l)
			case before.State == shard.LeaseDead && l.State != shard.LeaseDead:
				t.Fatal("risen from the dead")
			case e.Kind == shard.LeaseLost && l.State != shard.LeaseDead:
				t.Fatal("a lost lease lives")
			case e.Kind == shard.LeaseVerified && fenced && now < e.Until && read > broken && l.State == shard.LeaseFenced:
				t.Fatalf("proven until %v, and still fenced: %+v", e.Until, l)
			}
			if at, ok := l.Next(); ok && at <= now {
				t.Fatalf("at %v the next change is at %v: %+v", now, at, l)
			}
		}
	})
}
