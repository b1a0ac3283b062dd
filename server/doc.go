// Package server wires the parts of GoVerse into one server: configuration,
// listeners, the order in which parts start and stop. It is the only package that
// knows them all.
//
// A server starts, in this order: its hold on the data directory, the coordination store
// (with an etcd of its own, if it is to have one), the node with its sweep, membership
// (the listener for other nodes, the router, and the member, which opens shards), the
// objects created before the start, and the listener for clients. It stops in reverse:
// clients first, so that their calls finish and their last words arrive; then
// membership, which hands the shards over to other servers, or ends the objects if there
// is none; then what is left of the objects.
//
// A member whose lease was lost joins again under another name, with no objects and no
// clients; so does nothing else.
// Every part is a service of one [lifecycle.Group]; Start returns when all are ready
// and Stop when none runs any more. A part that fails stops the others and, with them,
// the server.
//
// The goroutines are the group's, and these: a listener's service owns the one that
// accepts and the one that ends its connections, the objects' service the one that
// creates what was asked for before the start, membership the one of the router. Each waits for its own, except where a
// hook or method ignores the end of its context: the stop then fails and names it.
package server
