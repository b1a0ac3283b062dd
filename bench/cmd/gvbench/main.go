// Command gvbench measures GoVerse next to what no runtime can beat and next to its peers.
//
//	gvbench local           one table: calls, activations, order of service
//	gvbench local -short    every row once, quickly: are the answers right? No time is judged
//	gvbench remote          the same between processes: calls, memory of idle members, push to many
//	gvbench inspect         what an inspector costs, and how quick it is
//	gvbench calls|activate|order   one measurement in this process, as JSON: what local starts
//	gvbench side|watchside  one process of remote or inspect, which is told over its standard input what to do
//
// Each repetition of each row is a process of its own, so that no peer pays for another one's heap,
// goroutines or collections. The command exits with 0, with 1 when a measurement failed, with 2 for wrong flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/xiaonanln/goverse/bench/goverse"
	"github.com/xiaonanln/goverse/bench/limits"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/bench/protoactor"
)

// entry is a peer and what it can take part in.
type entry struct {
	peer.Peer

	// single: it serves one caller only.
	single bool
	// activates: an object costs nothing before its first call, so that activations can be measured.
	activates bool
	// holds: it can show the order in which it serves waiting calls.
	holds bool
}

// roster lists the peers, in the table's order. A new peer is a line here.
func roster() []entry {
	return []entry{
		{Peer: limits.Direct(), single: true},
		{Peer: limits.Reflection(), single: true},
		{Peer: limits.Mutex()},
		{Peer: limits.Channel(), activates: true, holds: true},
		{Peer: limits.ChannelWithCopies(), holds: true},
		{Peer: goverse.Default(), activates: true, holds: true},
		{Peer: goverse.Shared(), activates: true, holds: true},
		{Peer: protoactor.Actor(), activates: true, holds: true},
		{Peer: protoactor.GrainRequest(), activates: true, holds: true},
		{Peer: protoactor.Grain(), activates: true, holds: true},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the command without the process around it; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"local": local, "calls": calls, "activate": activate, "order": order,
		"remote": remote, sideName: side, "inspect": inspect, watchName: watchSide,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprintln(stderr, "usage: gvbench local|remote|inspect|calls|activate|order [flags]; -h after one of them lists its flags")
		return 2
	}
	err := commands[args[0]](ctx, args[1:], stdout, stderr)
	var wrong usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintln(stderr, "gvbench:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "gvbench:", err)
		return 1
	}
}

// usageError is a wrong flag.
type usageError struct{ error }

func parse(flags *flag.FlagSet, args []string, stderr io.Writer) error {
	flags.SetOutput(stderr)
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return usageError{err}
	}
	return err
}

func find(name string) (entry, error) {
	for _, e := range roster() {
		if e.Name() == name {
			return e, nil
		}
	}
	return entry{}, usageError{fmt.Errorf("no peer is called %q", name)}
}
