package shard

// Entry is a shard as the allocator sees it.
//
// There is one for each shard on each member: it is kept small.
type Entry struct {
	Record Record // the zero record: none, or one that is garbage
	Rev    int64  // mod revision of the key; 0: there never was one
	Lost   *Lost  // set for the zero record of a shard that once had another
}

// Lost is what is known of a shard whose record was deleted or overwritten.
type Lost struct {
	Gone  bool      // the key was deleted, at the entry's Rev
	Epoch uint64    // of the last record that could be read
	Last  NodeGuard // its owner
}

// See takes note of a newer record, or that there is none any more.
func (e *Entry) See(record Record, rev int64, gone bool) {
	var lost *Lost
	if record.Owner == "" {
		last, epoch := e.former()
		lost = &Lost{Gone: gone, Epoch: epoch, Last: last}
	}
	e.Record, e.Rev, e.Lost = record, rev, lost
}

// Absent says whether the key was deleted.
func (e *Entry) Absent() bool { return e.Lost != nil && e.Lost.Gone }

// former is the last known owner and epoch.
func (e *Entry) former() (NodeGuard, uint64) {
	if e.Lost != nil {
		return e.Lost.Last, e.Lost.Epoch
	}
	return NodeGuard{e.Record.Owner, e.Record.OwnerRev}, e.Record.Epoch
}

// takeOver gives a shard that nobody has to a member. The former owner's key has the
// create revision was, 0: there is none; rev is one that the store had after the entry
// was read.
func (e *Entry) takeOver(n int, to NodeGuard, was, rev int64, flaws Flaws) Write {
	last, epoch := e.former()
	next := Record{Owner: to.ID, OwnerRev: to.Rev, Epoch: NextEpoch(epoch, rev)}
	if flaws.SameEpoch && epoch > 0 {
		next.Epoch = epoch
	}
	guards := []NodeGuard{to}
	if last.ID != "" && last.ID != to.ID && !flaws.NoLiveness {
		guards = append(guards, NodeGuard{last.ID, was})
	}
	return e.replace(n, next, guards...)
}

// moveTo asks the owner of a shard to hand it over.
func (e *Entry) moveTo(n int, to NodeGuard, pinned bool) Write {
	return e.replace(n, e.Record.MovingTo(to.ID, to.Rev, pinned), to)
}

// settle takes a move back.
func (e *Entry) settle(n int) Write { return e.replace(n, e.Record.Settled()) }

func (e *Entry) replace(n int, record Record, guards ...NodeGuard) Write {
	w := Write{Shard: uint32(n), Rev: e.Rev, Record: record, Guards: guards} //nolint:gosec // G115: a shard number
	if e.Absent() {
		w.Rev = 0
	}
	return w
}
