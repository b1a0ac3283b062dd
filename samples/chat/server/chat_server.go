// Command server is the server of the chat sample: a GoVerse node that hosts chat rooms
// (ChatRoom), the list of them (ChatRoomMgr) and an object for each connected client
// (ChatClient).
//
//	go run ./samples/chat/server/ -listen localhost:47000 -client-listen localhost:48000
//	go run ./samples/chat/server/ -listen localhost:47001 -client-listen localhost:48001
//
// Two servers make one chat: they meet at an etcd, which the first one on a machine
// starts unless -etcd names another, and share the rooms. A client is connected to one of
// them and does not notice where its rooms are. A server that is stopped hands its rooms
// over to the others; one that crashes takes along what they had.
//
// It is ready when it logs its ports, and stops on SIGINT or SIGTERM. It exits with 0
// after a clean stop, with 1 and one line on standard error after a failure, and with
// 2 for wrong flags. All goroutines are the runtime's.
//
// A client's call goes from its ChatClient to rooms and list, never the other way
// round, and a room's call to the list; pushes go from rooms to clients. Rooms, their
// messages and the list live in memory, and end with the last server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/xiaonanln/goverse/goverseapi"
)

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run is the program; it returns the exit code.
func run(args []string, stderr io.Writer) int {
	config, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	if err := serve(config); err != nil {
		fmt.Fprintln(stderr, "chat server:", asFlags().Replace(err.Error()))
		return exitFailed
	}
	return exitOK
}

// parseFlags returns the configuration that the flags ask for. What is wrong with
// them it has told the user already.
func parseFlags(args []string, stderr io.Writer) (*goverseapi.ServerConfig, error) {
	config := &goverseapi.ServerConfig{}
	flags := flag.NewFlagSet("chat server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&config.ListenAddress, "listen", "localhost:47000", "`address` for other nodes; port 0 takes a free one")
	flags.StringVar(&config.ClientListenAddress, "client-listen", "localhost:48000", "`address` for clients; port 0 takes a free one")
	flags.StringVar(&config.AdvertiseAddress, "advertise", "", "`address` that other nodes are told, as where -listen is of all interfaces (default the one of -listen)")
	etcd := flags.String("etcd", "", "`endpoints` of the etcd where the servers of a chat meet, separated by commas: "+
		"a:2379,b:2379,c:2379. embedded:localhost:PORT is one on a loopback port that the first server starts and lives as long as it does, "+
		"memory: is for a server alone (default embedded:localhost:47379)")
	flags.StringVar(&config.DataDir, "data", "", "`directory` of this server: an etcd that it starts keeps its data there, "+
		"and other servers need not wait for the end of a lease when it has crashed and is started again; rooms are not kept (default nothing is kept)")
	flags.StringVar(&config.InspectorAddress, "inspector", "", "`address` of the inspector's web page, which shows all servers of the chat, as localhost:8080 (default none)")
	flags.BoolVar(&config.InspectorActions, "actions", false, "let whoever sees that page act: drain, move, deactivate, call, disconnect")
	flags.StringVar(&config.AdminAddress, "admin", "", "loopback `address` that answers operators: /metrics, /healthz, /readyz, /debug/pprof/; port 0 takes a free one (default off)")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "unexpected argument: %s\n", flags.Arg(0))
		flags.Usage()
		return nil, errors.New("unexpected argument")
	}
	if *etcd != "" {
		config.Etcd = strings.Split(*etcd, ",")
	}
	return config, nil
}

// asFlags turns the fields that a refusal names into the flags that set them.
func asFlags() *strings.Replacer {
	return strings.NewReplacer(
		"ClientListenAddress:", "-client-listen:", "AdvertiseAddress:", "-advertise:", "ListenAddress:", "-listen:",
		"Etcd:", "-etcd:", "(see Etcd)", "(see -etcd)", "DataDir:", "-data:", "InspectorAddress:", "-inspector:",
		"InspectorActions:", "-actions:", "(see InspectorAddress)", "(see -inspector)", "AdminAddress:", "-admin:",
	)
}

// serve runs a chat server until a signal stops it.
func serve(config *goverseapi.ServerConfig) error {
	server := goverseapi.NewServer(config)
	goverseapi.RegisterClientType((*ChatClient)(nil))
	goverseapi.RegisterObjectType((*ChatRoom)(nil), roomOptions()...)
	goverseapi.RegisterObjectType((*ChatRoomMgr)(nil), mgrOptions()...)
	if _, err := goverseapi.CreateObject(context.Background(), "ChatRoomMgr", mgrID, nil); err != nil {
		return err
	}
	return server.Run()
}
