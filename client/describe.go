package client

import (
	"slices"

	"google.golang.org/grpc"

	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// describe is the service as it is generated, but for Call's handler.
func describe() *grpc.ServiceDesc {
	d := client_pb.ClientService_ServiceDesc
	d.Methods = slices.Clone(d.Methods)
	for i := range d.Methods {
		if d.Methods[i].MethodName == "Call" {
			d.Methods[i].Handler = handleCall(d.Methods[i].Handler)
		}
	}
	return &d
}

// roomBytes is a little more than a Call of a short method uses.
const roomBytes = 5 << 10

// makeRoom makes room on the stack, which stays, before a Call is handled. gRPC runs each rpc
// on a new goroutine, whose stack begins small and doubles when it is full. Each time it is
// copied, which takes the longer the deeper the calls are: growing at once to what nearly
// every Call needs anyway, where they are few, is what is saved.
//
//go:noinline
func makeRoom() {
	var room [roomBytes]byte
	use(&room)
}

// use keeps the compiler from leaving room out.
//
//go:noinline
func use(room *[roomBytes]byte) { room[0] = 1 }
