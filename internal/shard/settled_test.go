package shard

import "testing"

// What a member forgets of a settled shard comes back from its record: all but the number of the last action, and the
// revision of a move that is over.
func TestASettledShardFollowsFromItsRecord(t *testing.T) {
	t.Parallel()
	o := NewOwner("a", 1, Flaws{})
	check := func(when string, settled bool) {
		t.Helper()
		if o.Settled() != settled {
			t.Fatalf("%s: settled is %v", when, !settled)
		}
		if !settled {
			return
		}
		again := ServingOwner("a", 1, o.Record, o.Rev, Flaws{})
		again.number, again.refused = o.number, o.refused
		if again != o {
			t.Errorf("%s: %+v comes back as %+v", when, o, again)
		}
	}
	own := Record{Owner: "a", OwnerRev: 1, Epoch: 7}
	check("nothing", false)
	o.Step(OwnerEvent{Kind: RecordSeen, Record: own, Rev: 10})
	check("opening", false)
	o.Step(OwnerEvent{Kind: Opened, Number: 1})
	check("serving", true)
	o.Step(OwnerEvent{Kind: RecordSeen, Record: own.MovingTo("b", 2, false), Rev: 11})
	check("draining", false)
	o.Step(OwnerEvent{Kind: DrainFailed, Number: 2})
	check("aborting", false)
	o.Step(OwnerEvent{Kind: Written, Number: 3, Record: own, Rev: 12})
	check("serving again", true)
	o.Step(OwnerEvent{Kind: Quit, Why: ReleaseLeaving})
	check("over", false)
}
