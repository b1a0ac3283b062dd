// Command client is the terminal client of the chat sample.
//
//	go run ./samples/chat/client/ -server=localhost:48000 -user=alice
//
// A line that begins with '/' is a command, /help lists them; any other line is sent
// to the current room. Messages of others are shown as they come. Input and output
// may be a terminal or pipes: commands run strictly in order, each to its end, and
// every line is written at once. A prompt there is only on a terminal.
//
// When the connection breaks, the client tries again with a growing pause until the
// server is back, joins its rooms again and shows what others have said meanwhile, of
// each room the newest 200 messages (and how many came before); what is typed meanwhile
// is refused, never lost in silence. Given several servers of one chat,
//
//	go run ./samples/chat/client/ -server=localhost:48000,localhost:48001 -user=alice
//
// it connects to the first one that answers, and goes to the next when that one goes.
//
// It exits with 0 after /quit and at the end of the input, with 1 and one line on
// standard error when it cannot connect at first or is thrown out, with 2 for wrong
// flags, and with 130 when it is interrupted.
//
// One goroutine, that of main, does all this; beside it are one that reads lines from
// the input, as long as the process lives, and while the connection is broken one that
// dials, for which the first one waits.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/xiaonanln/goverse/client/goverseclient"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// The limits of names and messages, in bytes.
const (
	maxUserName = 64
	maxText     = 4096
)

// Defaults of options.
const (
	dialTimeout = 5 * time.Second
	callTimeout = 15 * time.Second // so that a call outlasts the end of a server that has the room
)

// options are what a run of the client depends on.
type options struct {
	servers     []string // addresses, at least one
	user        string
	terminal    bool                            // input and output are a terminal
	location    *time.Location                  // of the times shown
	callTimeout time.Duration                   // for one call
	pause       func(attempt int) time.Duration // before an attempt to reconnect, counted from 0
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string, stdin, stdout, stderr *os.File) int {
	opts, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	opts.terminal = isTerminal(stdin) && isTerminal(stdout)
	switch err := talk(ctx, opts, stdin, stdout); {
	case ctx.Err() != nil:
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "chat client:", err)
		return exitFailed
	}
	return exitOK
}

// parseFlags returns the options that the flags ask for. What is wrong with them it
// has told the user already.
func parseFlags(args []string, stderr io.Writer) (options, error) {
	opts := options{location: time.Local, callTimeout: callTimeout, pause: backOff}
	flags := flag.NewFlagSet("chat client", flag.ContinueOnError)
	flags.SetOutput(stderr)
	servers := flags.String("server", "localhost:48000", "`address` of the server's port for clients, or those of several servers of one chat, separated by commas")
	flags.StringVar(&opts.user, "user", login(), "your `name` in the rooms, 1 to 64 bytes")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	opts.servers = strings.Split(*servers, ",")
	err := checkOptions(opts, flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, err)
		flags.Usage()
	}
	return opts, err
}

func checkOptions(opts options, rest []string) error {
	for _, server := range opts.servers {
		if _, port, err := net.SplitHostPort(server); err != nil || port == "" {
			return fmt.Errorf("-server: %q is not host:port", server)
		}
	}
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument: %s", rest[0])
	case opts.user == "" || len(opts.user) > maxUserName || !utf8.ValidString(opts.user):
		return fmt.Errorf("-user: a name has 1 to %d bytes of UTF-8", maxUserName)
	}
	return nil
}

// login is the name of the person at the terminal; empty if nobody knows.
func login() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// isTerminal tells whether f is a terminal, as far as can be told without asking the
// operating system in its own way: a character device that is not the null device.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// talk connects and lets the user chat until the end of the input.
func talk(ctx context.Context, opts options, in io.Reader, out io.Writer) error {
	conn, err := connect(ctx, opts.servers)
	if err != nil {
		return err
	}
	c := newChat(opts, conn, out)
	defer c.close()
	return c.run(ctx, in)
}

// connection is a connection to one of the servers.
type connection struct {
	*goverseclient.Client

	at int // index of the server
}

// connect connects to the first server that answers. The error says what is the matter
// with each.
func connect(ctx context.Context, servers []string) (*connection, error) {
	var problems []error
	for i, server := range servers {
		conn, err := dial(ctx, server)
		if err == nil {
			return &connection{conn, i}, nil
		}
		problems = append(problems, fmt.Errorf("cannot connect to %s: %s", server, whyNotConnected(ctx, server, err)))
	}
	return nil, errors.New(strings.ReplaceAll(errors.Join(problems...).Error(), "\n", "; "))
}

// resumeFor is for how long a user whose connection broke is a member still.
const resumeFor = 2 * time.Second

func dial(ctx context.Context, server string) (*goverseclient.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return goverseclient.Dial(ctx, server, goverseclient.WithResume(resumeFor))
}
