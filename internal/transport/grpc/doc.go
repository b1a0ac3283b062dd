// Package grpc connects the nodes of a cluster over gRPC: the transport of real clusters.
//
// A link is one TCP connection with one bidirectional stream, goverse.NodeService/Link, of which proto/goverse.proto
// has the messages and frame.go the frames inside them. Many calls share a message: whoever sends encodes a frame into
// the link's queue, and the link's writer sends all that has queued as one message, when 32 frames have or nobody who
// runs, or is about to run, will add one; see usher.go. Of the calls of one message 16 begin to run while others are
// decoded. So the calls of a connection do not all travel together, by which one side would have nothing to do while the
// other works. Frames are encoded once and decoded once, and bodies are only copied. The names of methods and messages
// cross a connection once, and are numbers after that.
//
// A frame of 64 KiB or more travels in parts, each beside a message of others, so that it holds up nobody; only calls of
// the same object wait behind it, as they must not overtake it.
//
// What the seam leaves to its implementations is decided here:
//
//   - Bounds. A link queues up to a mebibyte and one message more in each direction, has a bounded number of calls in
//     flight, and accepts messages of [transport.MaxBytes] with a mebibyte for the rest of a frame, 1024 steps of a
//     chain and 4096 pairs of metadata. Call and Send wait for room; what exceeds the size of a message is
//     transport.ErrTooLarge. Who receives more calls than the bound refuses them (overloaded, executed=no), and
//     reads no further before there is room for a one-way one; a link on which there is none for six times Keepalive
//     is broken.
//   - Silence. Each side of a link pings when it has heard or said nothing for a quarter of Keepalive, and breaks the
//     link when it has heard nothing for the whole, be the peer gone, stopped or cut off without a word.
//   - Connecting fails at once where nobody listens. Until the next attempt, some 10 to 80 ms later, calls fail with
//     the reason of the last one.
//   - Versions: the newest that both sides speak is spoken. A peer that speaks none of ours, or is no node, is
//     transport.ErrUnreachable.
//   - Drain: one-way calls that were on their way when the peer learned of it are accepted. A peer that says
//     nothing at all for two seconds is not waited for.
//
// The handshake proves no identity: that takes credentials. A TCP connection carries one link at a time. What is on its
// way already, in the windows of gRPC and the buffers of TCP, holds up what comes after it: a mebibyte or so.
//
// Goroutines: a connection has a reader, a writer and its usher on each side. The caller's belong to the link, whose Close waits
// for them; so does the one that connects. The callee's belong to the endpoint, and so do its watch over the silence of
// all its connections, the gRPC server, and the crew that runs the calls (package crew: the short ones of a message on
// one goroutine); Close of the endpoint waits for them. AcceptCall runs on the readers. gRPC has goroutines of its own,
// which end with their connection.
package grpc
