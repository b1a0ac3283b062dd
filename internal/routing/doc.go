// Package routing makes the nodes of a cluster look like one: a call finds its object wherever that is, and what has
// moved is found again. It stands between the node, which runs objects, the cluster's member, which knows who owns
// which shard, and the transport.
//
// A [Router] has three faces. To the programs and objects of its server it is the runtime: [Router.Call] and its kin.
// To other nodes it is the [transport.Handler] that [Router.Handler] returns. To the member it is the [cluster.Host]
// that [Router.Host] returns, which opens, drains and releases the node's shards and carries the volatile state of a
// moved shard to its new owner.
//
// # What it promises
//
//   - A call that the node can run costs nothing here: the node is asked first, and the table only if it refuses.
//   - A call is sent again only where that is allowed. What certainly did not run is retried until the call's time is
//     over; what may have run is retried with the same ID and key, but not if the caller said at most once; what ran,
//     and what was refused for another reason than that the node cannot answer for the object, is final. An error
//     tells the worst that was met: if any attempt may have run, the answer is "unknown".
//   - What is sent again to the node that has run it, or runs it, is not run a second time but answered with the outcome
//     of the first sending, as far as the node remembers: see ledger.
//   - Nothing is answered twice, and nothing by a node without a valid lease: neither does a call begin there, nor does
//     its reply leave.
//   - A wrong guess heals the table. Calls say what epoch they expect; who is behind reads the store before it decides.
//   - Nobody is asked in a loop: a call waits for a change of the gate or the table, and backs off between attempts.
//   - While a shard's gate is closed, arriving calls wait, in order and up to a limit, and are then run or sent on.
//   - What an object kept through a move is installed only by the move that it was handed out for.
//   - A client object is where its connection is: its ID ends in "@" and the incarnation of that node.
//
// One-way calls from outside any turn are on their way when Call returns. They are lost with the connection or the node
// that they are on their way to, and may be late or out of order where they have to be passed on; never doubled.
// Pushes to clients of other nodes wait in an outbox for each node, so that who pushes waits for nothing; they are never
// passed on, and never doubled.
//
// # Goroutines
//
// Calls run on their callers' goroutines and on those of the transport. [Router.Serve] is one more, which closes the
// links to members that are gone; it is the caller's. An outbox has one while something waits in it, for which Serve
// waits.
package routing
