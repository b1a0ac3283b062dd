package goverseapi

import (
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// What a program embeds, implements and configures. The types are documented where
// they are declared.
type (
	// Server is one GoVerse server.
	Server = server.Server
	// ServerConfig describes a server; the zero value of a field means its default.
	ServerConfig = server.Config
	// Registry holds the types that a server can host.
	Registry = object.Registry

	// BaseObject is embedded by every object type.
	BaseObject = object.BaseObject
	// BaseClient is embedded by every client type.
	BaseClient = object.BaseClient
	// Object is what embedding BaseObject makes of a type.
	Object = object.Object
	// ClientObject is what embedding BaseClient makes of a type.
	ClientObject = object.ClientObject

	// Creator is the hook OnCreate.
	Creator = object.Creator
	// Activator is the hook OnActivate.
	Activator = object.Activator
	// Deactivator is the hook OnDeactivate.
	Deactivator = object.Deactivator
	// Connector is the hook OnConnect of client types.
	Connector = object.Connector
	// Disconnector is the hook OnDisconnect of client types.
	Disconnector = object.Disconnector
	// Deduplicator is an object's own record of idempotency keys.
	Deduplicator = object.Deduplicator
	// Snapshotter is the hooks OnSnapshot and OnRestore, of an object whose memory goes
	// along when it moves to another server.
	Snapshotter = object.Snapshotter

	// RegisterOption changes how a type is registered.
	RegisterOption = object.RegisterOption
	// CallOption changes one call.
	CallOption = object.CallOption
	// MethodThunk is a method bound by the compiler; see [Method].
	MethodThunk = object.MethodThunk
	// Message is the constraint of typed requests and replies: pointers to generated
	// protobuf messages.
	Message = object.Message
	// Mode says which turns of an object may run beside each other.
	Mode = object.Mode
	// DeactivateReason says why an activation ends.
	DeactivateReason = object.DeactivateReason
	// DisconnectReason says why a client's object ends.
	DisconnectReason = object.DisconnectReason

	// Error is the one error type. One that is [ErrOverloaded] was refused because too
	// many wait already, as an object's mailbox limit says: the call did not run, and the
	// runtime does not try it again, as that would only make more wait. When the caller may
	// is its RetryAfter: of an object's mailbox how long the first in it has waited by now,
	// 10 ms at least and 10 s at most.
	Error = object.Error
	// Code classifies an error; the numbers equal gRPC's.
	Code = object.Code
	// Reason narrows a code.
	Reason = object.Reason
	// Execution answers whether a failed call ran.
	Execution = object.Execution
)

// The modes of a method.
const (
	Sequential = object.Sequential
	ReadOnly   = object.ReadOnly
	Concurrent = object.Concurrent
)

// The reasons an activation ends.
const (
	ReasonIdle     = object.ReasonIdle
	ReasonDeleted  = object.ReasonDeleted
	ReasonMoved    = object.ReasonMoved
	ReasonStopping = object.ReasonStopping
	ReasonFailed   = object.ReasonFailed
	ReasonFenced   = object.ReasonFenced
)

// The reasons a client's object ends.
const (
	DisconnectClosed   = object.DisconnectClosed
	DisconnectLost     = object.DisconnectLost
	DisconnectTooSlow  = object.DisconnectTooSlow
	DisconnectKicked   = object.DisconnectKicked
	DisconnectStopping = object.DisconnectStopping
)

// The answers of [Executed].
const (
	ExecutedUnknown = object.ExecutedUnknown
	ExecutedNo      = object.ExecutedNo
	ExecutedYes     = object.ExecutedYes
)

// The codes of errors.
const (
	CodeOK                 = object.CodeOK
	CodeCanceled           = object.CodeCanceled
	CodeUnknown            = object.CodeUnknown
	CodeInvalidArgument    = object.CodeInvalidArgument
	CodeDeadlineExceeded   = object.CodeDeadlineExceeded
	CodeNotFound           = object.CodeNotFound
	CodeAlreadyExists      = object.CodeAlreadyExists
	CodePermissionDenied   = object.CodePermissionDenied
	CodeResourceExhausted  = object.CodeResourceExhausted
	CodeFailedPrecondition = object.CodeFailedPrecondition
	CodeAborted            = object.CodeAborted
	CodeOutOfRange         = object.CodeOutOfRange
	CodeUnimplemented      = object.CodeUnimplemented
	CodeInternal           = object.CodeInternal
	CodeUnavailable        = object.CodeUnavailable
	CodeDataLoss           = object.CodeDataLoss
	CodeUnauthenticated    = object.CodeUnauthenticated
)

// The runtime's reasons, each narrowing the code of its sentinel.
const (
	NotRegistered = object.NotRegistered
	UnknownMethod = object.UnknownMethod
	Deadlock      = object.Deadlock
	KeyReused     = object.KeyReused
	Overloaded    = object.Overloaded
	Fenced        = object.Fenced
)

// The sentinels: errors.Is(err, ErrNotFound) holds for every error of that code, and
// errors.Is(err, ErrDeadlock) for every error of that reason, however many nodes it
// has crossed.
var (
	ErrCanceled           = object.ErrCanceled
	ErrUnknown            = object.ErrUnknown
	ErrInvalidArgument    = object.ErrInvalidArgument
	ErrDeadlineExceeded   = object.ErrDeadlineExceeded
	ErrNotFound           = object.ErrNotFound
	ErrAlreadyExists      = object.ErrAlreadyExists
	ErrPermissionDenied   = object.ErrPermissionDenied
	ErrResourceExhausted  = object.ErrResourceExhausted
	ErrFailedPrecondition = object.ErrFailedPrecondition
	ErrAborted            = object.ErrAborted
	ErrOutOfRange         = object.ErrOutOfRange
	ErrUnimplemented      = object.ErrUnimplemented
	ErrInternal           = object.ErrInternal
	ErrUnavailable        = object.ErrUnavailable
	ErrDataLoss           = object.ErrDataLoss
	ErrUnauthenticated    = object.ErrUnauthenticated

	ErrNotRegistered = object.ErrNotRegistered
	ErrUnknownMethod = object.ErrUnknownMethod
	ErrDeadlock      = object.ErrDeadlock
	ErrKeyReused     = object.ErrKeyReused
	ErrOverloaded    = object.ErrOverloaded
	ErrFenced        = object.ErrFenced
)
