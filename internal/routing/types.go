package routing

import "github.com/xiaonanln/goverse/object"

// Step is one turn of a call chain.
type Step struct {
	ID     string // of the object
	Method string
	Turn   [16]byte // names the turn
}

// Departure is a call as it leaves a node, and as it arrives.
type Departure struct {
	object.Request

	Chain      []Step // the calls that wait for this one, outermost first
	OneWay     bool
	AtMostOnce bool
}

// Kept is what an object keeps through a move.
type Kept struct {
	ID      string
	Message string // full protobuf name
	Body    []byte
}
