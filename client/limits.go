package client

import (
	"math"
	"time"
)

// Defaults of [Limits].
const (
	DefaultMessageBytes  = 4 << 20
	DefaultStreams       = 250
	DefaultHeaderBytes   = 16 << 10
	DefaultBody          = 5 * time.Second
	DefaultHandshake     = 5 * time.Second
	DefaultPing          = 25 * time.Second
	DefaultPingTimeout   = 8 * time.Second
	DefaultMinPing       = 10 * time.Second
	DefaultIdle          = 5 * time.Minute
	DefaultClients       = 100_000
	DefaultQueueMessages = 1024
	DefaultQueueBytes    = 1 << 20
	DefaultFlush         = time.Second
	DefaultResume        = time.Minute
	DefaultDetached      = 10_000
	DefaultDetachedBytes = 256 << 20
	DefaultCalls         = 1024
	DefaultCallBytes     = 16 << 20
	DefaultReplyBytes    = 64 << 20
)

// What the metadata of one rpc may add to a call; more is refused as
// InvalidArgument.
const (
	MetadataPrefix     = "client-"
	MaxMetadataEntries = 16
	MaxMetadataBytes   = 4 << 10 // keys and values
)

// Limits bounds what clients may take of the server. A field that is zero or less
// has its default, except where it says that negative means none.
type Limits struct {
	// MessageBytes is the largest message in either direction: requests and replies of
	// the rpcs, and pushed messages. Default 4 MiB.
	MessageBytes int
	// Streams is how many rpcs, Register streams among them, one connection may have
	// at a time. Default 250.
	Streams uint32
	// HeaderBytes is the largest list of request headers. Default 16 KiB.
	HeaderBytes uint32
	// Body is how long a Call waits for the requests of Calls whose headers came before
	// its own on the same connection. What is not there by then loses its order, and
	// holds up nobody any more; it may still come. Default 5 s.
	Body time.Duration
	// Handshake is how long a new connection may take until it speaks HTTP/2, and a
	// stream of the Session rpc until it says hello. Default 5 s.
	Handshake time.Duration
	// Ping is how long a connection may be silent before it is pinged, at least 1 s;
	// PingTimeout is how long it may then take to answer. Defaults 25 s and 8 s.
	Ping, PingTimeout time.Duration
	// MinPing is how often a client may ping; one that pings more often is
	// disconnected. Default 10 s.
	MinPing time.Duration
	// Idle is how long a connection without any rpc is kept; one with a Register
	// stream is not idle. Default 5 min; negative: for ever.
	Idle time.Duration
	// Clients is how many clients the server takes. Default 100 000; negative: no
	// limit.
	Clients int
	// QueueMessages and QueueBytes are how much may wait for a client behind the
	// message being sent; one message may always wait, whatever its size. Defaults
	// 1024 and 1 MiB.
	QueueMessages, QueueBytes int
	// Flush is how long a client that is sent away may take to read what was pushed
	// to it before. Default 1 s.
	Flush time.Duration
	// Resume is how long a session whose stream has broken can be resumed. Default
	// 60 s; negative: not at all.
	Resume time.Duration
	// Detached is how many sessions without a stream there may be; beyond, those end
	// that have waited for the longest time, the ones whose clients have done nothing
	// yet before the others. The same happens where there are as many Clients as there
	// may be and one more comes. Default 10 000.
	Detached int
	// DetachedBytes is how many bytes of replies and pushes those sessions may keep
	// together. Beyond, the one goes that is to keep more, if it keeps more than its
	// share already, else the one that Detached would end. Default 256 MiB.
	DetachedBytes int
	// Calls is how many calls of a session may run or have replies that the client
	// has not acknowledged. Who makes more breaks the protocol. Default 1024.
	Calls int
	// CallBytes is how many bytes of calls of a session may run; a call beyond is
	// refused as Overloaded, unless it is the only one. Default 16 MiB.
	CallBytes int
	// ReplyBytes is how many bytes of replies a session keeps until the client has
	// acknowledged them. A reply beyond, unless it is the only one, becomes the error
	// ResourceExhausted. Default 64 MiB.
	ReplyBytes int
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.MessageBytes, DefaultMessageBytes)
	orDefault(&l.Streams, DefaultStreams)
	orDefault(&l.HeaderBytes, DefaultHeaderBytes)
	orDefault(&l.Body, DefaultBody)
	orDefault(&l.Handshake, DefaultHandshake)
	orDefault(&l.Ping, DefaultPing)
	orDefault(&l.PingTimeout, DefaultPingTimeout)
	orDefault(&l.MinPing, DefaultMinPing)
	orDefault(&l.QueueMessages, DefaultQueueMessages)
	orDefault(&l.QueueBytes, DefaultQueueBytes)
	orDefault(&l.Flush, DefaultFlush)
	orDefault(&l.Detached, DefaultDetached)
	orDefault(&l.DetachedBytes, DefaultDetachedBytes)
	orDefault(&l.Calls, DefaultCalls)
	orDefault(&l.CallBytes, DefaultCallBytes)
	orDefault(&l.ReplyBytes, DefaultReplyBytes)
	switch {
	case l.Resume == 0:
		l.Resume = DefaultResume
	case l.Resume < 0:
		l.Resume = 0
	}
	switch {
	case l.Idle == 0:
		l.Idle = DefaultIdle
	case l.Idle < 0:
		l.Idle = math.MaxInt64
	}
	switch {
	case l.Clients == 0:
		l.Clients = DefaultClients
	case l.Clients < 0:
		l.Clients = math.MaxInt
	}
	return l
}

func orDefault[T int | uint32 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
