package goverseapi_test

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/goverseapi"
)

// This file is a list of what programs rely on. It says nothing at run time: where a
// name or a type changes, it does not compile.

var (
	_ func(*goverseapi.ServerConfig) *goverseapi.Server                                   = goverseapi.NewServer
	_ func(goverseapi.Object, ...goverseapi.RegisterOption)                               = goverseapi.RegisterObjectType
	_ func(goverseapi.ClientObject, ...goverseapi.RegisterOption)                         = goverseapi.RegisterClientType
	_ func(context.Context, string, string, proto.Message) (string, error)                = goverseapi.CreateObject
	_ func(context.Context, string) error                                                 = goverseapi.DeleteObject
	_ func(context.Context, string, proto.Message) error                                  = goverseapi.PushMessage
	_ func() *goverseapi.Registry                                                         = goverseapi.NewRegistry
	_ func(goverseapi.Code, string) *goverseapi.Error                                     = goverseapi.NewError
	_ func(error) goverseapi.Execution                                                    = goverseapi.Executed
	_ func(error) goverseapi.Code                                                         = goverseapi.CodeOf
	_ func(context.Context) string                                                        = goverseapi.IdempotencyKey
	_ func(context.Context) map[string]string                                             = goverseapi.MetadataFrom
	_ func(goverseapi.Mode, ...string) goverseapi.RegisterOption                          = goverseapi.Concurrency
	_ func(time.Duration, ...string) goverseapi.RegisterOption                            = goverseapi.CallTimeout
	_ func(...string) goverseapi.RegisterOption                                           = goverseapi.Detached
	_ func() goverseapi.RegisterOption                                                    = goverseapi.Reentrant
	_ func(time.Duration) goverseapi.RegisterOption                                       = goverseapi.IdleTimeout
	_ func(int) goverseapi.RegisterOption                                                 = goverseapi.MailboxLimit
	_ func(string) goverseapi.RegisterOption                                              = goverseapi.TypeName
	_ func(...goverseapi.MethodThunk) goverseapi.RegisterOption                           = goverseapi.Methods
	_ func() goverseapi.RegisterOption                                                    = goverseapi.ShareMessages
	_ func(string) goverseapi.CallOption                                                  = goverseapi.WithIdempotencyKey
	_ func() goverseapi.CallOption                                                        = goverseapi.AtMostOnce
	_ func() goverseapi.CallOption                                                        = goverseapi.OneWay
	_ func(string, string) goverseapi.CallOption                                          = goverseapi.WithMetadata
	_ func(func(*Room, context.Context, *number) (*number, error)) goverseapi.MethodThunk = goverseapi.Method[*Room, *number, *number]

	_ func(context.Context, string, string, proto.Message, ...goverseapi.CallOption) (proto.Message, error)                                     = goverseapi.CallObject
	_ func(context.Context, string, string, proto.Message, ...goverseapi.CallOption) (*number, error)                                           = goverseapi.Call[*number]
	_ func(context.Context, string, func(*Room, context.Context, *number) (*number, error), *number, ...goverseapi.CallOption) (*number, error) = goverseapi.Invoke[*Room, *number, *number]
)

// The methods of a server.
var _ interface {
	Run() error
	Start(context.Context) error
	Stop(context.Context) error
	Done() <-chan struct{}
	Addr() string
	ClientAddr() string
	AdminAddr() string
	InspectorAddr() string
} = (*goverseapi.Server)(nil)

var _ interface {
	Context(context.Context) context.Context
	CallObject(ctx context.Context, id, method string, req proto.Message, opts ...goverseapi.CallOption) (proto.Message, error)
	CreateObject(ctx context.Context, typ, id string, init proto.Message) (string, error)
	DeleteObject(ctx context.Context, id string) error
	PushMessage(ctx context.Context, clientObjectID string, msg proto.Message) error
} = (*goverseapi.Server)(nil)

// The methods of a registry.
var _ interface {
	RegisterObjectType(goverseapi.Object, ...goverseapi.RegisterOption) error
	RegisterClientType(goverseapi.ClientObject, ...goverseapi.RegisterOption) error
} = (*goverseapi.Registry)(nil)

// The fields of a configuration.
var _ = goverseapi.ServerConfig{
	ListenAddress: "", AdvertiseAddress: "", ClientListenAddress: "", InspectorAddress: "", InspectorActions: false, AdminAddress: "",
	Cluster: "", Etcd: []string(nil), DataDir: "", Store: "",
	LeaseTTL: time.Duration(0), Shards: int(0),
	IdleTimeout: time.Duration(0), CallTimeout: time.Duration(0), DrainTimeout: time.Duration(0),
	Registry: (*goverseapi.Registry)(nil), Logger: (*slog.Logger)(nil),
}

// What a type gets by embedding a base.
var (
	_ goverseapi.Object       = (*Room)(nil)
	_ goverseapi.ClientObject = (*Guest)(nil)

	_ interface {
		ID() string
		Type() string
		Name() string
		Logger() *slog.Logger
		Context() context.Context
		AfterFunc(d time.Duration, method string, req proto.Message) (stop func() bool)
		Every(d time.Duration, method string, req proto.Message) (stop func() bool)
	} = (*goverseapi.BaseObject)(nil)

	_ interface {
		ID() string
		Push(context.Context, proto.Message) error
	} = (*goverseapi.BaseClient)(nil)
)

// hooks has every hook of an object, guestHooks those of a client's.
type hooks struct{ goverseapi.BaseObject }

func (*hooks) OnCreate(context.Context, proto.Message) error                   { return nil }
func (*hooks) OnActivate(context.Context) error                                { return nil }
func (*hooks) OnDeactivate(context.Context, goverseapi.DeactivateReason) error { return nil }
func (*hooks) Lookup(context.Context, string) (proto.Message, bool)            { return nil, false }
func (*hooks) Remember(context.Context, string, proto.Message)                 {}
func (*hooks) OnSnapshot(context.Context) (proto.Message, error)               { return nil, nil } //nolint:nilnil // nothing is kept
func (*hooks) OnRestore(context.Context, proto.Message) error                  { return nil }

type guestHooks struct{ goverseapi.BaseClient }

func (*guestHooks) OnConnect(context.Context) error                           { return nil }
func (*guestHooks) OnDisconnect(context.Context, goverseapi.DisconnectReason) {}

var (
	_ goverseapi.Creator      = (*hooks)(nil)
	_ goverseapi.Activator    = (*hooks)(nil)
	_ goverseapi.Deactivator  = (*hooks)(nil)
	_ goverseapi.Deduplicator = (*hooks)(nil)
	_ goverseapi.Snapshotter  = (*hooks)(nil)
	_ goverseapi.Connector    = (*guestHooks)(nil)
	_ goverseapi.Disconnector = (*guestHooks)(nil)
)

// The words of modes, reasons and answers.
var (
	_ = []goverseapi.Mode{goverseapi.Sequential, goverseapi.Concurrent, goverseapi.ReadOnly}
	_ = []goverseapi.DeactivateReason{
		goverseapi.ReasonIdle, goverseapi.ReasonDeleted, goverseapi.ReasonMoved,
		goverseapi.ReasonStopping, goverseapi.ReasonFailed, goverseapi.ReasonFenced,
	}
	_ = []goverseapi.DisconnectReason{
		goverseapi.DisconnectClosed, goverseapi.DisconnectLost, goverseapi.DisconnectTooSlow,
		goverseapi.DisconnectKicked, goverseapi.DisconnectStopping,
	}
	_ = []goverseapi.Execution{goverseapi.ExecutedNo, goverseapi.ExecutedYes, goverseapi.ExecutedUnknown}
	_ = goverseapi.Error{
		Code: goverseapi.CodeOK, Reason: goverseapi.Reason(""), Op: "", ID: "", Method: "", Message: "",
	}
)
