// Package node holds the live objects of one process: it activates them, runs
// their turns and lets them go when they are idle. It knows no socket, no
// coordination store and no database.
//
// # A call
//
// The directory finds the activation by its ID, or a fresh one is put on the ID's
// shard. The activation admits the call at once where its mode allows, else the call
// waits in a queue that keeps arrival order. The caller's own goroutine runs the turn;
// where several calls wait, a runner runs their turns one after the other and wakes
// the callers. An idle object owns no goroutine, timer or channel.
//
// # What an activation promises
//
//   - Concurrent first calls activate once: the first runs OnActivate on its own
//     goroutine while the others wait behind it.
//   - Sequential turns run alone, read-only turns together, both in arrival order,
//     so neither starves. Concurrent turns run beside everything.
//   - Ending an activation (idle, deleted, stopping, failed) is a turn that runs
//     alone. Calls that still wait go, in order, to the next activation.
//   - A call whose chain already holds the object never waits for itself: it is
//     admitted where the rules allow, else refused as a deadlock.
//
// # Shards
//
// What the node does not own it refuses, as not executed. A drain lets the turns of a
// shard finish, with the calls of their chains, and takes the memory of its objects along;
// a call of a chain that comes back from another node finds its turns here by the IDs that
// [Node.Depart] gave them. Released objects are lost: what still runs on them succeeds
// nowhere, and the same object may come up anew beside them. A suspended node begins
// nothing, and keeps what it has for [Node.Resume].
//
// # Locks and goroutines
//
// A shard's mutex guards its map; an activation's mutex guards its admission state
// and queue. A shard's is taken before an activation's, and neither is held while
// user code runs. Goroutines are started only for detached and one-way calls, lines of
// one-way calls to other nodes, runners, fired timers, drains and hooks at the end of
// activations; the node counts them and [Node.Stop] waits for them. [Node.Run] is the
// sweep for idle objects.
package node
