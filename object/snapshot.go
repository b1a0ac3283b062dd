package object

import (
	"context"
	"reflect"

	"google.golang.org/protobuf/proto"
)

// Snapshotter is implemented by an object whose memory goes along when its shard moves
// to another node, as when nodes join or leave. Both methods run alone, like the other
// hooks.
//
// It is no durable state: what a node had in memory is lost when it crashes, and an
// object that goes idle takes its memory with it.
type Snapshotter interface {
	// OnSnapshot returns what the object wants to have on its next node, nil for
	// nothing. It runs after the last turn, before OnDeactivate. An error takes the move
	// back, and the object lives on where it is; where the node stops, it ends there.
	OnSnapshot(ctx context.Context) (proto.Message, error)
	// OnRestore runs on the next node, before OnActivate, with what OnSnapshot returned.
	// An error fails the calls that wait for the object, and the state is kept for the
	// next call.
	OnRestore(ctx context.Context, state proto.Message) error
}

type (
	snapshotTaker interface {
		OnSnapshot(ctx context.Context) (proto.Message, error)
	}
	snapshotGiver interface {
		OnRestore(ctx context.Context, state proto.Message) error
	}
)

// snapshotProblem reports one half of a Snapshotter without the other.
func snapshotProblem(goType reflect.Type) []string {
	takes, gives := goType.Implements(reflect.TypeFor[snapshotTaker]()), goType.Implements(reflect.TypeFor[snapshotGiver]())
	switch {
	case takes && !gives:
		return []string{"it has OnSnapshot and no OnRestore"}
	case gives && !takes:
		return []string{"it has OnRestore and no OnSnapshot"}
	}
	return nil
}
