// Package chat_pb is the generated form of chat.proto: the messages of the chat
// sample, between chat clients and their ChatClient objects (Client_…) and
// between those and the rooms (ChatRoom_…).
//
// Limits and errors are described in chat.proto. The package holds no code of
// its own and starts no goroutine; its underscored names are part of the
// contract with GoVerse's users.
package chat_pb
