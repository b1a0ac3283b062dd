// Package goverseapi is the door to GoVerse: the types a program embeds and
// configures, and free functions that act on the right server.
//
// A program registers its types, makes a server and runs it:
//
//	server := goverseapi.NewServer(&goverseapi.ServerConfig{ListenAddress: "localhost:47000"})
//	goverseapi.RegisterObjectType((*ChatRoom)(nil))
//	err := server.Run()
//
// and its objects call each other by name:
//
//	resp, err := goverseapi.Call[*JoinResponse](ctx, "ChatRoom-General", "Join", req)
//	resp, err := goverseapi.Invoke(ctx, "ChatRoom-General", (*ChatRoom).Join, req)
//
// Inside a method the functions act on the server that hosts the object, which
// travels in ctx; Server.Context puts one there. With another ctx they act on the
// process's default server: the first made by [NewServer] that has not stopped.
// Everything here is safe for concurrent use. Errors of these functions, and of a server's
// Start, Stop and Run, are [*Error], found by errors.As where they wrap what is behind them,
// such as the system's error for a port that is taken.
package goverseapi
