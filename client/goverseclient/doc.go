// Package goverseclient is the Go client of a GoVerse cluster. It hides the Session rpc
// of client/proto/client.proto behind typed calls and a channel of pushed messages:
//
//	c, err := goverseclient.Dial(ctx, "localhost:48000")
//	if err != nil { … }
//	defer c.Close()
//	rooms, err := goverseclient.Call[*chat_pb.Client_ListChatRoomsResponse](
//		ctx, c, "ListChatRooms", &chat_pb.Client_ListChatRoomsRequest{})
//	for msg := range c.Pushes() { … }
//
// It needs nothing of the runtime, and what it does any language can do from the
// .proto alone.
//
// # What it promises
//
//   - One [Client] is one registered client: one connection and one client object,
//     shared by any number of goroutines. Calls reach the object in the order in which
//     they were made, many in one message.
//   - When the connection breaks the client connects again and goes on with its session,
//     within the time that the server keeps it, usually a minute: the object lives on,
//     each call under way has one outcome and runs once at most, and each pushed message
//     arrives once. Calls wait meanwhile, until their contexts end. [WithResume] limits
//     or forbids it.
//   - When the session is over, because the server has ended it or could not be reached
//     in time, the object and its state are gone, and only the application knows what to
//     do again: [Client.Done] is closed, [Client.Err] says why; dial again, with a
//     growing pause, where that is Unavailable. Calls under way end with executed=unknown
//     where they may have reached the server, with no where they were not written.
//   - Errors are of type *object.Error, with the code, reason, message and execution
//     that the server gave them, and match the sentinels of package object. When a call's
//     context ends, its method is told; a call that was not written yet never runs.
//   - Pushed messages arrive in order and none is dropped. Who does not receive from
//     [Client.Pushes] has them wait: after a while the server ends the session as too
//     slow. Calls go on meanwhile. What the channel holds the server counts as taken.
//
// A server without the Session rpc is told apart by Unimplemented.
//
// # Goroutines
//
// A client owns three goroutines: one reads the stream and connects again, one writes,
// one delivers pushed messages. [Client.Close] ends them and waits for them. No call
// starts one. All methods are safe for concurrent use.
package goverseclient
