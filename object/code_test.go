package object_test

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/xiaonanln/goverse/object"
)

// allCodes are the codes with the names they have in texts. The numbers are gRPC's:
// clients in other languages read them.
var allCodes = []struct {
	code object.Code
	grpc codes.Code
	name string
}{
	{object.CodeOK, codes.OK, "ok"},
	{object.CodeCanceled, codes.Canceled, "canceled"},
	{object.CodeUnknown, codes.Unknown, "unknown"},
	{object.CodeInvalidArgument, codes.InvalidArgument, "invalid_argument"},
	{object.CodeDeadlineExceeded, codes.DeadlineExceeded, "deadline_exceeded"},
	{object.CodeNotFound, codes.NotFound, "not_found"},
	{object.CodeAlreadyExists, codes.AlreadyExists, "already_exists"},
	{object.CodePermissionDenied, codes.PermissionDenied, "permission_denied"},
	{object.CodeResourceExhausted, codes.ResourceExhausted, "resource_exhausted"},
	{object.CodeFailedPrecondition, codes.FailedPrecondition, "failed_precondition"},
	{object.CodeAborted, codes.Aborted, "aborted"},
	{object.CodeOutOfRange, codes.OutOfRange, "out_of_range"},
	{object.CodeUnimplemented, codes.Unimplemented, "unimplemented"},
	{object.CodeInternal, codes.Internal, "internal"},
	{object.CodeUnavailable, codes.Unavailable, "unavailable"},
	{object.CodeDataLoss, codes.DataLoss, "data_loss"},
	{object.CodeUnauthenticated, codes.Unauthenticated, "unauthenticated"},
}

func TestCodesEqualGRPCs(t *testing.T) {
	if len(allCodes) != 17 {
		t.Fatalf("%d codes, want gRPC's 17", len(allCodes))
	}
	for _, tt := range allCodes {
		if uint32(tt.code) != uint32(tt.grpc) {
			t.Errorf("%v = %d, want gRPC's %d", tt.code, uint32(tt.code), uint32(tt.grpc))
		}
	}
}

func TestStrings(t *testing.T) {
	type test struct {
		value fmt.Stringer
		want  string
	}
	tests := []test{
		{object.Code(17), "code_17"},
		{object.Code(4294967295), "code_4294967295"},

		{object.ExecutedUnknown, "unknown"},
		{object.ExecutedNo, "no"},
		{object.ExecutedYes, "yes"},
		{object.Execution(9), "unknown"},

		{object.Sequential, "sequential"},
		{object.ReadOnly, "read-only"},
		{object.Concurrent, "concurrent"},
		{object.Concurrent + 1, "unspecified"},
		{object.Mode(255), "unspecified"},

		{object.DeactivateReason(0), "unspecified"},
		{object.ReasonIdle, "idle"},
		{object.ReasonDeleted, "deleted"},
		{object.ReasonMoved, "moved"},
		{object.ReasonStopping, "stopping"},
		{object.ReasonFailed, "failed"},
		{object.ReasonFenced, "fenced"},
		{object.ReasonFenced + 1, "unspecified"},

		{object.DisconnectReason(0), "unspecified"},
		{object.DisconnectClosed, "closed"},
		{object.DisconnectLost, "lost"},
		{object.DisconnectTooSlow, "too slow"},
		{object.DisconnectKicked, "kicked"},
		{object.DisconnectStopping, "stopping"},
		{object.DisconnectStopping + 1, "unspecified"},
	}
	for _, c := range allCodes {
		tests = append(tests, test{c.code, c.name})
	}
	for _, tt := range tests {
		if got := tt.value.String(); got != tt.want {
			t.Errorf("%T(%v).String() = %q, want %q", tt.value, tt.value, got, tt.want)
		}
	}
}

// TestZeroValuesAreCareful holds the defaults that other packages lean on.
func TestZeroValuesAreCareful(t *testing.T) {
	if x := (&object.Error{}); object.Executed(x) != object.ExecutedUnknown {
		t.Errorf("an error that says nothing answers executed=%v, want unknown", object.Executed(x))
	}
	if m := object.Mode(0); m != object.Sequential {
		t.Errorf("zero mode is %v, want sequential", m)
	}
}
