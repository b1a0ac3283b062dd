// Package goversepb is what the nodes of a cluster say to each other, generated from goverse.proto. It is private to
// the runtime; internal/transport/grpc speaks it.
//
// Messages may be read concurrently, and not while they are changed. The package starts no goroutine.
package goversepb
