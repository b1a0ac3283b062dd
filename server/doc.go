// Package server wires the parts of GoVerse into one server: configuration,
// listeners, the order in which parts start and stop. It is the only package that
// knows them all.
//
// A server starts, in this order: coordination, membership (which opens the shards
// of the node), the node's listener, the node's sweep, the objects created before
// the start, and the listener for clients. It stops in reverse: clients first, so
// that their calls finish; then the objects, each after its turns; then membership.
// Every part is a service of one [lifecycle.Group]; Start returns when all are ready
// and Stop when none runs any more.
package server
