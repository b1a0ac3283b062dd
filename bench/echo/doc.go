// Package echo holds what a call to another process is compared with: no owners, no deadlines, no guarantees, only what
// goes to another process and comes back to the goroutine that sent it. But for Messages that is a payload, and there are
// no objects and no names.
//
//   - [TCP]: frames on a bare connection, what no transport can beat.
//   - [Batched]: the same frames on one bidirectional gRPC stream, many in a message: the limit of a transport over gRPC.
//   - [Messages]: the same stream, with messages of the user's instead of payloads, and an object that is looked for by its
//     name and locked: the limit of an object call over gRPC.
//   - [Unary]: one gRPC call each, as generated code makes them.
//
// TCP, Batched and Messages are made alike. A caller appends its frame, with its number, to a queue under a mutex, and wakes the
// writer if the queue was empty. The writer yields the processor once, so that callers that can run queue theirs too, and
// sends all that has queued at once. The server cuts what it reads into frames and answers all of them at once. The
// reader copies each payload to the caller that the number names, and wakes it over a channel of its own; the caller
// compares it with what it sent.
//
// A driver owns its writer and reader and waits for them in Close; a server owns its goroutines likewise.
package echo
