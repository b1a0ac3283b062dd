package main

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args         string
		server, user string
		bad          string
	}{
		{args: "-user ann", server: "localhost:48000", user: "ann"},
		{args: "-server=h:1 --user=x", server: "h:1", user: "x"},
		{args: "-server [::1]:5 -user x", server: "[::1]:5", user: "x"},
		{args: "-server h:1,[::1]:5,i:2 -user x", server: "h:1,[::1]:5,i:2", user: "x"},
		{args: "-server h:1, -user x", bad: "not host:port"},
		{args: "-server h -user x", bad: "not host:port"},
		{args: "-server h: -user x", bad: "not host:port"},
		{args: "-user=", bad: "1 to 64 bytes"},
		{args: "-user " + strings.Repeat("x", maxUserName+1), bad: "1 to 64 bytes"},
		{args: "-user \xff", bad: "1 to 64 bytes"},
		{args: "-user ann bob", bad: "unexpected argument: bob"},
		{args: "-port 1", bad: "-port"},
	} {
		var stderr strings.Builder
		opts, err := parseFlags(strings.Fields(tt.args), &stderr)
		switch {
		case tt.bad != "":
			if err == nil || !strings.Contains(stderr.String(), tt.bad) || !strings.Contains(stderr.String(), "-server") {
				t.Errorf("%s: %v, said %q", tt.args, err, stderr.String())
			}
		case err != nil || strings.Join(opts.servers, ",") != tt.server || opts.user != tt.user:
			t.Errorf("%s: server %q, user %q, %v", tt.args, opts.servers, opts.user, err)
		}
	}
}

// TestExitCodes runs the program with files for its input and output.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	server := startServer(t, "localhost:0")
	free, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	_ = free.Close()
	for _, tt := range []struct {
		name, args, input string
		code              int
		out, err          string
	}{
		{"end of input", "-user ann -server " + server.addr, "/join A\nhi\n/messages\n", exitOK, "] ann: hi\n", ""},
		{"empty input", "-user ann -server " + server.addr, "", exitOK, "* connected", ""},
		{"quit", "-user ann -server " + server.addr, "/quit\n/wave\n", exitOK, "* connected", ""},
		{"nobody there", "-user ann -server " + nobody, "/list\n", exitFailed, "", "chat client: cannot connect to " + nobody + ": connection refused; is the chat server running?\n"},
		{"nobody anywhere", "-user ann -server " + nobody + "," + nobody, "/list\n", exitFailed, "", "running?; cannot connect to " + nobody + ": connection refused; is the chat server running?\n"},
		{"somebody somewhere", "-user ann -server " + nobody + "," + server.addr, "/list\n", exitOK, "* connected to " + server.addr, ""},
		{"wrong flag", "-x", "", exitUsage, "", "-x"},
		{"help", "-h", "", exitOK, "", "-server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stdin, stdout, stderr := file(t, tt.input), file(t, ""), file(t, "")
			if code := run(t.Context(), strings.Fields(tt.args), stdin, stdout, stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for f, want := range map[*os.File]string{stdout: tt.out, stderr: tt.err} {
				got, err := os.ReadFile(f.Name())
				if err != nil || !strings.Contains(string(got), want) || want == "" && len(got) > 0 {
					t.Errorf("wrote %q, %v, want %q", got, err, want)
				}
			}
		})
	}
}

func file(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFilesAndTheNullDeviceAreNoTerminals(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) || isTerminal(file(t, "")) {
		t.Error("taken for a terminal")
	}
}

func TestErrorsInWords(t *testing.T) {
	t.Parallel()
	const dump = `rpc error: code = X desc = "transport: y"`
	for code, want := range map[object.Code]string{
		object.CodeUnavailable:        "the connection is lost",
		object.CodeUnauthenticated:    "the connection is lost",
		object.CodeCanceled:           "the connection is lost",
		object.CodeDeadlineExceeded:   "the server has not answered within 10s",
		object.CodeUnimplemented:      "that is no chat server's port for clients",
		object.CodeInternal:           "the server has failed; its log says more",
		object.CodeUnknown:            "the server has failed; its log says more",
		object.CodeInvalidArgument:    dump, // the application's own words
		object.CodeFailedPrecondition: dump,
		object.CodeResourceExhausted:  dump,
	} {
		cause := object.NewError(code, dump)
		err := inWords(cause, 10*time.Second)
		if err.Error() != want || !errors.Is(err, cause) {
			t.Errorf("%v is told as %q, want %q", code, err, want)
		}
	}
	if err := inWords(object.NewError(object.CodeInvalidArgument, ""), 0); err.Error() != "the server has failed; its log says more" {
		t.Errorf("no words are told as %q", err)
	}
}
