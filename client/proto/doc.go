// Package client_pb is the generated form of client.proto: the gRPC service by
// which clients of any language reach the cluster, and its messages.
//
// The wire contract is in client.proto, with limits and errors, and only ever
// grows. The package holds no code of its own and starts no goroutine; its
// underscored name is part of the contract with GoVerse's users.
package client_pb
