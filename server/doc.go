// Package server wires the parts of GoVerse into one server: configuration,
// listeners, the order in which parts start and stop. It is the only package that
// knows them all.
//
// A server starts, in this order: the node's listener, membership (which opens the
// shards of the node), the node's sweep, the objects created before the start, and the
// listener for clients. It stops in reverse: clients first, so that their calls finish
// and their last words arrive; then the objects, each after its turns; then membership.
// Every part is a service of one [lifecycle.Group]; Start returns when all are ready
// and Stop when none runs any more. A part that fails stops the others and, with them,
// the server.
//
// The goroutines are the group's, and these: a listener's service owns the one that
// accepts and the one that ends its connections, the objects' service the one that
// creates what was asked for before the start. Each waits for its own, except where a
// hook or method ignores the end of its context: the stop then fails and names it.
package server
