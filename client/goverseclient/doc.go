// Package goverseclient is the Go client of a GoVerse cluster. It hides Register,
// Any and Call of client/proto/client.proto behind typed calls and a channel of
// pushed messages:
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
//   - One [Client] is one registered client: one connection and one client object. It
//     does not reconnect: with the stream the server-side object and its state are
//     gone, and only the application knows what to do again. When [Client.Done] is
//     closed, [Client.Err] says why; dial again, with a growing pause, where that is
//     Unavailable.
//   - Errors are of type *object.Error, with the code, reason, message and execution
//     that the server gave them, and match the sentinels of package object.
//   - Pushed messages arrive in order and none is dropped. Who does not receive from
//     [Client.Pushes] holds up the stream: after a while the server disconnects it as
//     too slow. Calls go on meanwhile, but the stream's end is noticed only by who
//     reads it.
//
// # Goroutines
//
// A client owns one goroutine, which reads the stream; [Client.Close] ends it and
// waits for it. All methods are safe for concurrent use.
package goverseclient
