// Package inspector lets people watch a cluster: it follows the records of the members and
// shards, listens to what each node tells, and serves both as HTTP/JSON and as a stream of
// events, beside the page that shows them. docs/inspector-api.md is its contract.
//
// An inspector is no member, and does nothing to a cluster unless Config.Actions allows it.
// It may be started before the cluster, and outlives it. Nodes are asked only for as much as
// somebody watches.
//
// Goroutines: Run owns one for the coordination store, one for the links to nodes, one for
// the clock and one for the HTTP server, which has one for each connection; it waits for all.
package inspector
