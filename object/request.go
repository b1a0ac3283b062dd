package object

// Request is a call whose messages are still encoded: what arrives from a client
// or from another node.
type Request struct {
	ID       string
	Method   string
	Message  string            // full protobuf name of the request; empty with a nil Body: the empty message
	Body     []byte            // the encoded request; not modified, not kept after the reply
	Metadata map[string]string // not modified
	Key      string            // idempotency key; empty: none
}

// Reply is the encoded answer to a [Request]. It is encoded within the turn, so it
// is what the object meant when it answered.
type Reply struct {
	Message string // full protobuf name of the reply
	Body    []byte
}
