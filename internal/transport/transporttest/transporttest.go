// Package transporttest is the suite that every implementation of transport.Transport has to pass: it says in tests
// what package transport says in words. [Cases] need a network in order, [FaultCases] one that makes trouble.
//
// The suite waits for conditions, never for a moment, so it runs on real time and inside a testing/synctest bubble
// alike; a condition that does not come about within 30 s fails. It closes what it opens. That this leaves no goroutine
// behind is for the caller to check, by goleak in TestMain or by running the cases in bubbles.
package transporttest

import (
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
)

// Net is the network under test.
type Net struct {
	// New is the transport of one more node; it may be the same one each time.
	New func(t *testing.T) transport.Transport

	// Address is where one more node can listen, such as "127.0.0.1:0".
	Address func() string

	// Faults makes trouble between the endpoints of this network, Silence is after how long their links find out that
	// they hear nothing, and Seed is of the chances. Only FaultCases need them.
	Faults  Faults
	Silence time.Duration
	Seed    uint64
}

// Case is one test of the suite.
type Case struct {
	Name string
	Run  func(t *testing.T, net Net)
}

// Cases are all tests without trouble, for a caller who has to run each in surroundings of its own, such as a bubble.
func Cases() []Case {
	return []Case{
		{"RoundTrip", on(testRoundTrip)},
		{"RoundTripOfNothing", on(testRoundTripOfNothing)},
		{"SpentMemory", on(testSpentMemory)},
		{"Flights", on(testFlights)},
		{"FlightsThatNobodyWaitsFor", on(testFlightsThatNobodyWaitsFor)},
		{"FlightsEnd", on(testFlightsEnd)},
		{"Send", on(testSend)},
		{"Flush", on(testFlush)},
		{"ErrorsCross", on(testErrorsCross)},
		{"ConcurrentCalls", on(testConcurrentCalls)},
		{"NestedCalls", on(testNestedCalls)},
		{"CallsToOneself", on(testCallsToOneself)},
		{"CallsDoNotWaitForEachOther", on(testCallsDoNotWait)},
		{"OrderPerCaller", on(testOrder)},
		{"BytesAreIsolated", on(testIsolation)},
		{"BytesOfAnAbandonedCall", on(testAbandonedBytes)},
		{"LargeMessages", on(testLargeMessages)},
		{"OrderOfLargeMessages", on(testOrderOfLargeMessages)},
		{"TooLargeMessages", on(testTooLarge)},
		{"Cancellation", on(testCancellation)},
		{"CallReturnsBeforeItsHandler", on(testCallReturns)},
		{"DeadlineCrosses", on(testDeadline)},
		{"DeadlineOfACall", on(testCallDeadline)},
		{"EnormousTimes", on(testEnormousTimes)},
		{"DeadlineOfASend", on(testSendDeadline)},
		{"SendOutlivesItsContext", on(testSendOutlives)},
		{"EndedContextSendsNothing", on(testEndedContext)},
		{"ContextOfAHandler", on(testHandlerContext)},
		{"HandlerFailures", on(testHandlerFailures)},
		{"UnknownAddress", on(testUnknownAddress)},
		{"WrongIncarnation", on(testWrongIncarnation)},
		{"WrongCluster", on(testWrongCluster)},
		{"ReplacedPeer", on(testReplacedPeer)},
		{"ListenRefusals", on(testListenRefusals)},
		{"PeerGoneBefore", on(testPeerGoneBefore)},
		{"PeerGoneWhileACallRuns", on(testPeerGone)},
		{"PeerBack", on(testPeerBack)},
		{"CallerGoneWhileACallRuns", on(testCallerGone)},
		{"LinkClose", on(testLinkClose)},
		{"EndpointCloseWaits", on(testEndpointCloseWaits)},
		{"Drain", on(testDrain)},
		{"DrainGivenUp", on(testDrainGivenUp)},
		{"ExecutionIsTrue", on(testExecution)},
	}
}

// on makes a test of the suite one that can be run.
func on(test func(*kit)) func(*testing.T, Net) {
	return func(t *testing.T, net Net) {
		t.Helper()
		test(newKit(t, net))
	}
}

// Exercise runs Cases. It calls open for every test.
func Exercise(t *testing.T, open func(t *testing.T) Net) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, open(t)) })
	}
}
