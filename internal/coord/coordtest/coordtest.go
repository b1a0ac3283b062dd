// Package coordtest is the suite that every implementation of coord.Store has to pass: it says in tests what package
// coord says in words, and was tried on etcd itself.
//
// The suite waits for conditions, never for a moment, so it runs on real time and inside a testing/synctest bubble
// alike; a condition that does not come about within 30 s fails. It leaves no goroutine behind.
package coordtest

import (
	"testing"

	"github.com/xiaonanln/goverse/internal/coord"
)

// Case is one test of the suite.
type Case struct {
	Name string
	Run  func(t *testing.T, store coord.Store)
}

// Cases are all tests, for a caller who has to run each in surroundings of its own, such as a bubble. A store may serve
// several of them one after the other: each keeps to keys of its own, but nobody else may use the store meanwhile.
func Cases() []Case {
	return []Case{
		{"Revisions", on(testRevisions)},
		{"DeletedKeyStartsAnew", on(testDeletedKeyStartsAnew)},
		{"GetOfAnAbsentKey", on(testGetAbsent)},
		{"ValuesAreCopies", on(testValuesAreCopies)},
		{"RangeByPrefix", on(testRangeByPrefix)},
		{"RangeInPagesOfOneRevision", on(testRangeInPages)},
		{"RangeOfThePast", on(testRangeOfThePast)},
		{"RangeRefusals", on(testRangeRefusals)},
		{"TxnCompares", on(testTxnCompares)},
		{"TxnBranches", on(testTxnBranches)},
		{"TxnSeesItsOwnWrites", on(testTxnSeesItsOwnWrites)},
		{"TxnDeletes", on(testTxnDeletes)},
		{"TxnWithoutEffectMakesNoRevision", on(testTxnWithoutEffect)},
		{"TxnLimits", on(testTxnLimits)},
		{"TxnRefusals", on(testTxnRefusals)},
		{"CompareAndSwapRace", on(testCompareAndSwapRace)},
		{"CreateRace", on(testCreateRace)},
		{"LeaseExpiry", on(testLeaseExpiry)},
		{"LeaseKeepAlive", on(testLeaseKeepAlive)},
		{"LeaseRevoke", on(testLeaseRevoke)},
		{"LeaseOfALaterPut", on(testLeaseOfALaterPut)},
		{"DeadLease", on(testDeadLease)},
		{"WatchThePast", on(testWatchThePast)},
		{"WatchTheFuture", on(testWatchTheFuture)},
		{"WatchKeepsRevisionsWhole", on(testWatchKeepsRevisionsWhole)},
		{"WatchByPrefix", on(testWatchByPrefix)},
		{"WatchUnderLoad", on(testWatchUnderLoad)},
		{"WatchEnds", on(testWatchEnds)},
		{"Compaction", on(testCompaction)},
		{"CompactedWatch", on(testCompactedWatch)},
		{"EndedContext", on(testEndedContext)},
	}
}

// on makes a test of the suite one that can be run.
func on(test func(*kit)) func(*testing.T, coord.Store) {
	return func(t *testing.T, store coord.Store) {
		t.Helper()
		test(newKit(t, store))
	}
}

// Exercise runs the suite. It calls open for every test; the store may be a new one or not (see Cases), and open has it
// closed by t.Cleanup.
func Exercise(t *testing.T, open func(t *testing.T) coord.Store) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, open(t)) })
	}
}
