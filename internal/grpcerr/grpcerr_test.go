package grpcerr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

// told is what must be the same on both sides.
type told struct {
	code     object.Code
	reason   object.Reason
	message  string
	executed object.Execution
	retry    time.Duration
}

func tell(e *object.Error) told {
	return told{e.Code, e.Reason, e.Message, object.Executed(e), e.RetryAfter}
}

// wire carries a status as a receiver would see it: decoded from its bytes.
func wire(t interface{ Fatalf(string, ...any) }, st *status.Status) *status.Status {
	b, err := proto.Marshal(st.Proto())
	if err != nil {
		t.Fatalf("status cannot be sent: %v", err)
	}
	p := st.Proto()
	proto.Reset(p)
	if err := proto.Unmarshal(b, p); err != nil {
		t.Fatalf("status cannot be read: %v", err)
	}
	return status.FromProto(p)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := object.NewError(
			object.Code(rapid.Uint32Range(1, 16).Draw(t, "code")),
			rapid.StringN(0, 200, 1200).Draw(t, "message"),
		).WithExecuted(object.Execution(rapid.Uint8Range(0, 2).Draw(t, "executed")))
		e.Reason = object.Reason(rapid.StringN(0, 32, grpcerr.MaxReasonBytes).Draw(t, "reason"))
		e.RetryAfter = time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "retry"))
		wrapped := error(e)
		if rapid.Bool().Draw(t, "through a gRPC error") {
			wrapped = grpcerr.ToStatus(e).Err()
		}
		if got := tell(grpcerr.FromStatus(wire(t, grpcerr.ToStatus(wrapped)))); got != tell(e) {
			t.Fatalf("got %+v, want %+v", got, tell(e))
		}
	})
}

func TestNothingIsNoError(t *testing.T) {
	t.Parallel()
	if st := grpcerr.ToStatus(nil); st.Code() != codes.OK || st.Err() != nil {
		t.Errorf("ToStatus(nil) = %v", st)
	}
	if e := grpcerr.FromStatus(nil); e != nil {
		t.Errorf("FromStatus(nil) = %v", e)
	}
	if e := grpcerr.FromStatus(status.New(codes.OK, "fine")); e != nil {
		t.Errorf("FromStatus(OK) = %v", e)
	}
	if e := grpcerr.FromError(nil); e != nil {
		t.Errorf("FromError(nil) = %v", e)
	}
	if e := grpcerr.FromApp(nil); e != nil {
		t.Errorf("FromApp(nil) = %v", e)
	}
}

// foreign is a user's error type that counts as a gRPC status error.
type foreign struct {
	st    *status.Status
	inner error
}

func (f foreign) Error() string              { return "foreign: " + f.st.Message() }
func (f foreign) GRPCStatus() *status.Status { return f.st }
func (f foreign) Unwrap() error              { return f.inner }

func withInfo(t *testing.T, code codes.Code, domain, reason, executed string) *status.Status {
	t.Helper()
	st, err := status.New(code, "text").WithDetails(&errdetails.ErrorInfo{
		Domain: domain, Reason: reason, Metadata: map[string]string{grpcerr.ExecutedKey: executed},
	})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestFromApp(t *testing.T) {
	t.Parallel()
	var nilError *object.Error
	full := object.NewError(object.CodeNotFound, "no room")
	full.Reason = "NoRoom"
	for name, test := range map[string]struct {
		err     error
		code    object.Code
		reason  object.Reason
		message string
	}{
		"object error":            {full, object.CodeNotFound, "NoRoom", "no room"},
		"wrapped object error":    {fmt.Errorf("join: %w", full), object.CodeNotFound, "NoRoom", "join: no room"},
		"status error":            {status.Error(codes.AlreadyExists, "taken"), object.CodeAlreadyExists, "", "taken"},
		"wrapped status error":    {fmt.Errorf("join: %w", status.Error(codes.AlreadyExists, "taken")), object.CodeAlreadyExists, "", "join: taken"},
		"status with our info":    {withInfo(t, codes.NotFound, "goverse", "NotRegistered", "no").Err(), object.CodeNotFound, object.NotRegistered, "text"},
		"status with other info":  {withInfo(t, codes.NotFound, "example.com", "NotRegistered", "no").Err(), object.CodeNotFound, "", "text"},
		"own status type":         {foreign{st: status.New(codes.Aborted, "again")}, object.CodeAborted, "", "again"},
		"own type around ours":    {foreign{status.New(codes.Aborted, "again"), full}, object.CodeAborted, "", "again"},
		"own type that claims OK": {foreign{st: status.New(codes.OK, "lies")}, object.CodeUnknown, "", "foreign: lies"},
		"own type without status": {foreign{}, object.CodeUnknown, "", "foreign: "},
		"unknown code":            {status.Error(99, "odd"), object.CodeUnknown, "", "odd"},
		"object error without":    {&object.Error{Message: "odd"}, object.CodeUnknown, "", "odd"},
		"nil object error":        {nilError, object.CodeUnknown, "", "error is a nil *object.Error"},
		"deadline":                {fmt.Errorf("wait: %w", context.DeadlineExceeded), object.CodeDeadlineExceeded, "", "wait: context deadline exceeded"},
		"cancellation":            {context.Canceled, object.CodeCanceled, "", "context canceled"},
		"any other":               {io.EOF, object.CodeUnknown, "", "EOF"},
		"joined":                  {errors.Join(io.EOF, full), object.CodeNotFound, "NoRoom", "EOF\nno room"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := told{test.code, test.reason, test.message, object.ExecutedYes, 0}
			if got := tell(grpcerr.FromApp(test.err)); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
	if object.Executed(full) != object.ExecutedUnknown {
		t.Error("FromApp changed the error it was given")
	}
}

// What a status that GoVerse did not make proves: only that these three were
// answered before any method could run.
func TestForeignStatusProvesLittle(t *testing.T) {
	t.Parallel()
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		want := object.ExecutedUnknown
		if code == codes.Unimplemented || code == codes.Unauthenticated || code == codes.PermissionDenied {
			want = object.ExecutedNo
		}
		for _, err := range []error{
			status.Error(code, "text"),
			withInfo(t, code, "example.com", "", "yes").Err(),
		} {
			if got := object.Executed(grpcerr.FromError(err)); got != want {
				t.Errorf("%v: executed %v, want %v", code, got, want)
			}
		}
		st := withInfo(t, code, "goverse", "", "maybe")
		if got := object.Executed(grpcerr.FromStatus(st)); got != object.ExecutedUnknown {
			t.Errorf("%v: a word we do not know means %v", code, got)
		}
	}
	if got := object.Executed(grpcerr.FromError(context.DeadlineExceeded)); got != object.ExecutedUnknown {
		t.Errorf("a passed deadline: executed %v", got)
	}
}

// Advice when to try again is read whoever gives it, and only as far as it makes sense.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given *durationpb.Duration
		want  time.Duration
	}{
		"some":       {durationpb.New(1500 * time.Millisecond), 1500 * time.Millisecond},
		"nothing":    {nil, 0},
		"zero":       {durationpb.New(0), 0},
		"negative":   {durationpb.New(-time.Second), 0},
		"for ever":   {&durationpb.Duration{Seconds: 315_576_000_000}, math.MaxInt64},
		"too much":   {&durationpb.Duration{Seconds: math.MaxInt64}, 0},
		"nonsense":   {&durationpb.Duration{Seconds: 1, Nanos: -1}, 0},
		"far before": {&durationpb.Duration{Seconds: math.MinInt64, Nanos: math.MinInt32}, 0},
	} {
		for _, before := range []*status.Status{
			status.New(codes.ResourceExhausted, "text"), withInfo(t, codes.ResourceExhausted, "goverse", "Overloaded", "no"),
		} {
			st, err := before.WithDetails(&errdetails.RetryInfo{RetryDelay: c.given})
			if err != nil {
				t.Fatal(err)
			}
			if e := grpcerr.FromStatus(wire(t, st)); e.RetryAfter != c.want || e.Code != object.CodeResourceExhausted {
				t.Errorf("%s: %v", name, e.RetryAfter)
			}
			if e := grpcerr.FromApp(st.Err()); e.RetryAfter != c.want {
				t.Errorf("%s, of a method: %v", name, e.RetryAfter)
			}
		}
	}
	for _, none := range []time.Duration{0, -1, math.MinInt64} {
		e := object.NewError(object.CodeAborted, "text")
		e.RetryAfter = none
		if d := grpcerr.ToStatus(e).Details(); len(d) != 1 {
			t.Errorf("RetryAfter %d is sent as %v", none, d)
		}
	}
}

// trailers is how many bytes a status takes in HTTP/2 trailers, before compression.
func trailers(st *status.Status) int {
	n := 0
	for _, b := range []byte(st.Message()) {
		if n++; b < 0x20 || b > 0x7e || b == '%' {
			n += 2
		}
	}
	return n + (proto.Size(st.Proto())+2)/3*4
}

func checkSendable(t *testing.T, e *object.Error) {
	t.Helper()
	st := wire(t, grpcerr.ToStatus(e))
	if n := trailers(st); n > 7<<10 {
		t.Errorf("status of %d bytes of text takes %d bytes", len(e.Message), n)
	}
	got := grpcerr.FromStatus(st)
	if !utf8.ValidString(got.Message) || !utf8.ValidString(string(got.Reason)) {
		t.Errorf("text is not valid UTF-8: %q, %q", got.Message, got.Reason)
	}
	if got.Message != strings.ToValidUTF8(e.Message, "\uFFFD") && !strings.HasSuffix(got.Message, "…") {
		t.Errorf("message cut without a mark: %d of %d bytes", len(got.Message), len(e.Message))
	}
	if again := wire(t, grpcerr.ToStatus(got)); again.Message() != got.Message {
		t.Errorf("a second hop changed the message: %d bytes, then %d", len(got.Message), len(again.Message()))
	}
}

func TestLongAndBrokenTextCanBeSent(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "\xff\xfe broken", strings.Repeat("x", 2600), strings.Repeat("x", 1<<20), strings.Repeat("%", 1<<20),
		strings.Repeat("語", 1<<18), strings.Repeat("\xff", 1<<20), strings.Repeat("x😀", 1<<16),
	} {
		e := object.NewError(object.CodeInternal, text)
		e.Reason, e.RetryAfter = object.Reason(text), math.MaxInt64
		checkSendable(t, e)
	}
	if got := grpcerr.ToStatus(object.NewError(object.CodeInternal, strings.Repeat("x", 2600))); len(got.Message()) != 2600 {
		t.Errorf("2600 bytes of ASCII became %d", len(got.Message()))
	}
}

func FuzzToStatus(f *testing.F) {
	f.Add(uint32(5), "no room", "NotRegistered", uint8(1))
	f.Add(uint32(0), "\xff", strings.Repeat("語", 100), uint8(7))
	f.Fuzz(func(t *testing.T, code uint32, message, reason string, executed uint8) {
		e := object.NewError(object.Code(code), message).WithExecuted(object.Execution(executed % 3))
		e.Reason = object.Reason(reason)
		checkSendable(t, e)
		got := grpcerr.FromStatus(wire(t, grpcerr.ToStatus(e)))
		if object.Executed(got) != object.Executed(e) {
			t.Errorf("executed %v became %v", object.Executed(e), object.Executed(got))
		}
		if e.Code <= object.CodeUnauthenticated && got.Code != e.Code {
			t.Errorf("code %v became %v", e.Code, got.Code)
		}
	})
}

// FuzzFromStatus reads what a hostile or broken server might say.
func FuzzFromStatus(f *testing.F) {
	b, _ := proto.Marshal(grpcerr.ToStatus(object.ErrNotRegistered).Proto())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		p := status.New(codes.OK, "").Proto()
		if proto.Unmarshal(b, p) != nil {
			return
		}
		e := grpcerr.FromStatus(status.FromProto(p))
		if e == nil {
			return
		}
		if e.Code == object.CodeOK || e.Code > object.CodeUnauthenticated {
			t.Errorf("error with code %d", e.Code)
		}
		checkSendable(t, e)
	})
}
