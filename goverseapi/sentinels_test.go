package goverseapi_test

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/xiaonanln/goverse/goverseapi"
)

func TestSentinels(t *testing.T) {
	t.Parallel()
	for sentinel, want := range map[*goverseapi.Error]codes.Code{
		goverseapi.ErrCanceled:           codes.Canceled,
		goverseapi.ErrUnknown:            codes.Unknown,
		goverseapi.ErrInvalidArgument:    codes.InvalidArgument,
		goverseapi.ErrDeadlineExceeded:   codes.DeadlineExceeded,
		goverseapi.ErrNotFound:           codes.NotFound,
		goverseapi.ErrAlreadyExists:      codes.AlreadyExists,
		goverseapi.ErrPermissionDenied:   codes.PermissionDenied,
		goverseapi.ErrResourceExhausted:  codes.ResourceExhausted,
		goverseapi.ErrFailedPrecondition: codes.FailedPrecondition,
		goverseapi.ErrAborted:            codes.Aborted,
		goverseapi.ErrOutOfRange:         codes.OutOfRange,
		goverseapi.ErrUnimplemented:      codes.Unimplemented,
		goverseapi.ErrInternal:           codes.Internal,
		goverseapi.ErrUnavailable:        codes.Unavailable,
		goverseapi.ErrDataLoss:           codes.DataLoss,
		goverseapi.ErrUnauthenticated:    codes.Unauthenticated,
		goverseapi.ErrNotRegistered:      codes.NotFound,
		goverseapi.ErrUnknownMethod:      codes.Unimplemented,
		goverseapi.ErrDeadlock:           codes.FailedPrecondition,
		goverseapi.ErrKeyReused:          codes.FailedPrecondition,
		goverseapi.ErrOverloaded:         codes.ResourceExhausted,
		goverseapi.ErrFenced:             codes.Unavailable,
	} {
		if got := codes.Code(goverseapi.CodeOf(sentinel)); got != want {
			t.Errorf("%v has code %v, want %v", sentinel, got, want)
		}
		own := goverseapi.NewError(goverseapi.Code(want), "an application's")
		if matches := errors.Is(own, sentinel); matches == (sentinel.Reason != "") {
			t.Errorf("an application error of code %v matches %v: %v", want, sentinel, matches)
		}
	}
	for code, want := range map[goverseapi.Code]codes.Code{
		goverseapi.CodeOK: codes.OK, goverseapi.CodeCanceled: codes.Canceled, goverseapi.CodeUnknown: codes.Unknown,
		goverseapi.CodeInvalidArgument: codes.InvalidArgument, goverseapi.CodeDeadlineExceeded: codes.DeadlineExceeded,
		goverseapi.CodeNotFound: codes.NotFound, goverseapi.CodeAlreadyExists: codes.AlreadyExists,
		goverseapi.CodePermissionDenied: codes.PermissionDenied, goverseapi.CodeResourceExhausted: codes.ResourceExhausted,
		goverseapi.CodeFailedPrecondition: codes.FailedPrecondition, goverseapi.CodeAborted: codes.Aborted,
		goverseapi.CodeOutOfRange: codes.OutOfRange, goverseapi.CodeUnimplemented: codes.Unimplemented,
		goverseapi.CodeInternal: codes.Internal, goverseapi.CodeUnavailable: codes.Unavailable,
		goverseapi.CodeDataLoss: codes.DataLoss, goverseapi.CodeUnauthenticated: codes.Unauthenticated,
	} {
		if codes.Code(code) != want {
			t.Errorf("%v is not gRPC's %v", code, want)
		}
	}
}
