// Package client is the gRPC service by which clients reach the cluster: it turns
// each Register stream and each session into a client object of the node, lets the
// client call that object's methods, and delivers what is pushed to it. The wire contract is in
// client/proto/client.proto.
//
// # What it promises
//
//   - One Register stream is one client with one object, "<ClientType>-<random>".
//     The object is attached to the [Node] before the client hears of it and
//     detached exactly once, however the stream ends, after the client's running
//     calls have returned.
//   - The client_id is a secret of 130 random bits, independent of the object's ID.
//     The service keeps only its SHA-256 and finds sessions by that, so neither
//     timing nor a log nor a heap dump of the table gives an id away. All other ids
//     get one and the same Unauthenticated.
//   - Pushes are encoded before [Service.Push] returns, never block, and arrive in
//     order behind the RegisterResponse. What may wait for a client that does not
//     read is bounded by [Limits]; beyond that its stream ends.
//   - Calls get their places at the client's object in the order in which their
//     headers arrived on their connection, whichever of its clients they are of.
//     Those on different connections have no order. A request that does not come
//     holds up the calls behind it for Limits.Body at most.
//   - A connection that breaks or goes silent is noticed within Ping + PingTimeout.
//     An rpc that panics fails alone.
//   - Metadata of the rpc whose key begins with "client-" reaches the method as
//     GoVerse metadata under the same key; everything else stops here. It is what
//     the client says, and no more to be trusted than its requests.
//   - The traceparent and tracestate of an rpc's metadata are the trace context of its
//     call, unless the gRPC server's own tracing has made a span of them already.
//
// A session is what the Session rpc opens: calls, replies and pushes on one stream, which
// it outlives for Limits.Resume. For it holds besides:
//
//   - Its calls get their places at the object in the order of their numbers, and cost no
//     goroutine each. Each runs at most once and has exactly one reply.
//   - Replies and pushes are kept, in order, until the client has acknowledged them, and
//     sent again on the next stream from where the client says it is. So none is lost or
//     doubled while the session lives. Of its streams the last counts.
//   - A client that breaks the protocol loses its session and harms nobody else. What a
//     client can make the server keep is bounded by Limits, whether it reads,
//     acknowledges, or comes back. Sessions without a stream count as clients, and are the
//     first to go when there are too many.
//
// # Who owns what
//
// gRPC's goroutine of a Register stream owns the session: it attaches, waits for the
// end, detaches and returns. A second goroutine per stream sends, because a send to a
// client that does not read returns only when the stream's handler has returned; the
// service counts both, and [Service.Stop] waits for them. Of a stream of a session,
// gRPC's goroutine waits for its end and a second one reads; what runs the calls and
// what sends while there is something to send are workers of the service's crew, and the
// end of a session has a goroutine of its own. Calls of the Call rpc wait in their
// connection's line, and run, on their gRPC goroutines. Locks: the service's guards the
// tables of sessions, a session's its calls, its end and its logs, a queue's its
// messages, a line's its places; none is held while another is taken or while foreign
// code runs, but for those that count. A resumable session's reading lock comes before
// them: it is held while a message is taken in and calls get their places, which waits
// for nothing.
package client
