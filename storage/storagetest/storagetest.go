// Package storagetest is the suite that every implementation of storage.Store has to pass: it says in tests what
// package storage says in words. It is public, for stores that others write.
//
// The suite waits for nothing but the store's own answers and measures no time; a store that does not answer within
// 30 s fails. It leaves no goroutine behind.
package storagetest

import (
	"testing"

	"github.com/xiaonanln/goverse/storage"
)

// Case is one test of the suite.
type Case struct {
	Name string
	Run  func(t *testing.T, store storage.Store)
}

// Cases are all tests, for a caller who has to run each in surroundings of its own. Each needs a new, empty store, and
// may close it.
func Cases() []Case {
	return []Case{
		{"Fence", on(testFence)},
		{"FenceRace", on(testFenceRace)},
		{"MaxEpoch", on(testMaxEpoch)},
		{"CommitNeedsTheNewestFence", on(testCommitNeedsTheNewestFence)},
		{"FenceStopsCommitsUnderWay", on(testFenceStopsCommitsUnderWay)},
		{"ObjectLife", on(testObjectLife)},
		{"ObjectConflicts", on(testObjectConflicts)},
		{"ObjectKeepsItsShard", on(testObjectKeepsItsShard)},
		{"NamesAreBytes", on(testNamesAreBytes)},
		{"LargeState", on(testLargeState)},
		{"Outcomes", on(testOutcomes)},
		{"OutcomesBelongToTheirObject", on(testOutcomesBelongToTheirObject)},
		{"Prune", on(testPrune)},
		{"Sends", on(testSends)},
		{"SendsInPages", on(testSendsInPages)},
		{"SendsOutliveTheirObject", on(testSendsOutliveTheirObject)},
		{"Reminders", on(testReminders)},
		{"DueReminders", on(testDueReminders)},
		{"ReminderExpectations", on(testReminderExpectations)},
		{"FailedCommitLeavesNothing", on(testFailedCommitLeavesNothing)},
		{"BatchOrder", on(testBatchOrder)},
		{"InvalidBatches", on(testInvalidBatches)},
		{"BytesAreCopies", on(testBytesAreCopies)},
		{"ConcurrentCommitsOfOneObject", on(testConcurrentCommitsOfOneObject)},
		{"ConcurrentCommitsOfManyObjects", on(testConcurrentCommitsOfManyObjects)},
		{"EndedContext", on(testEndedContext)},
		{"Close", on(testClose)},
	}
}

// Exercise runs the suite. It calls open for every test; open makes a new, empty store, and has it closed by t.Cleanup.
func Exercise(t *testing.T, open func(t *testing.T) storage.Store) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, open(t)) })
	}
}

// on makes a test of the suite one that can be run.
func on(test func(*kit)) func(*testing.T, storage.Store) {
	return func(t *testing.T, store storage.Store) {
		t.Helper()
		test(newKit(t, store))
	}
}
