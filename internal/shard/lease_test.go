package shard_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/internal/shard"
)

// Whatever happens, in whatever order: a member never thinks that its lease is valid
// longer than the store keeps it, less the margin; who was fenced comes back only by
// something read after a renewal; who is dead stays dead.
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
		newest, proven := time.Duration(0), true // when the newest renewal was asked for; fenced: read since
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			now += time.Duration(rapid.IntRange(0, int(ttl/time.Millisecond)).Draw(t, "pause")) * time.Millisecond
			before := l
			fenced := l.State == shard.LeaseFenced || now >= l.ValidUntil
			e := shard.LeaseEvent{Kind: rapid.SampledFrom([]shard.LeaseEventKind{
				shard.LeaseTick, shard.LeaseTick, shard.LeaseRenewed, shard.LeaseRenewed, shard.LeaseRenewed, shard.LeaseVerified, shard.LeaseLost, shard.LeaseRefuted,
			}).Draw(t, "event"), Now: now, TTL: ttl, Round: l.Round()}
			switch e.Kind {
			case shard.LeaseRenewed:
				e.Sent = max(now-time.Duration(rapid.IntRange(0, int(ttl/time.Millisecond)).Draw(t, "took"))*time.Millisecond, newest)
				newest, proven = e.Sent, proven && !fenced
			case shard.LeaseVerified:
				stale := rapid.Bool().Draw(t, "stale")
				if stale {
					e.Round--
				}
				proven = proven || !stale
			case shard.LeaseTick:
				proven = proven && !fenced
			case shard.LeaseLost, shard.LeaseRefuted:
			}
			l.Step(e)
			valid := l.State == shard.LeaseValid || l.State == shard.LeaseSuspect
			switch {
			case valid && now >= l.ValidUntil:
				t.Fatalf("valid at %v, until %v", now, l.ValidUntil)
			case valid && l.ValidUntil > newest+ttl-margin:
				t.Fatalf("valid until %v, renewed at %v for %v", l.ValidUntil, newest, ttl)
			case valid && fenced && !proven:
				t.Fatalf("back without proof: %+v", l)
			case before.State == shard.LeaseDead && l.State != shard.LeaseDead:
				t.Fatal("risen from the dead")
			case e.Kind == shard.LeaseLost && l.State != shard.LeaseDead:
				t.Fatal("a lost lease lives")
			}
			if at, ok := l.Next(); ok && at <= now {
				t.Fatalf("at %v the next change is at %v: %+v", now, at, l)
			}
		}
	})
}
