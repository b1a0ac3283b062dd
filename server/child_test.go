package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// childVariable tells the test binary to be one of the children, and which port to use.
const (
	childVariable = "GOVERSE_TEST_CHILD"
	portVariable  = "GOVERSE_TEST_CHILD_LISTEN"
)

// childOf is what this process does instead of the tests, if it was started for it: it
// runs a server as a program would, and exits as one would.
func childOf() func() {
	return map[string]func(){
		"idle":     func() { runChild(func(*server.Server, *probe) {}) },
		"busy":     func() { runChild(childCalls("Block")) },
		"deaf":     func() { runChild(childCalls("Deaf")) },
		"starting": func() { runChild(childCreates("block")) },
		"stuck":    func() { runChild(childCreates("deaf")) },
	}[os.Getenv(childVariable)]
}

// childCalls calls a Box once the server is ready, and releases the call when it stops.
func childCalls(method string) func(*server.Server, *probe) {
	return func(s *server.Server, p *probe) {
		go func() {
			for {
				_, err := s.CallObject(context.Background(), "Box-1", method, nil)
				if object.CodeOf(err) == object.CodeFailedPrecondition { // not started
					continue
				}
				fmt.Println("the call ended:", object.CodeOf(err))
				return
			}
		}()
		go func() {
			fmt.Println("entered", <-p.entered)
			for method == "Block" {
				if _, err := s.CallObject(context.Background(), "Box-2", "Add", nil); err != nil {
					fmt.Println("refused")
					close(p.release)
					return
				}
			}
		}()
	}
}

// childCreates records a Box whose OnCreate hangs.
func childCreates(how string) func(*server.Server, *probe) {
	return func(s *server.Server, p *probe) {
		if _, err := s.CreateObject(context.Background(), "Box", "Box-1", wrapperspb.String(how)); err != nil {
			panic(err)
		}
		go func() { fmt.Println("entered", <-p.entered) }()
	}
}

func runChild(prepare func(*server.Server, *probe)) {
	registry := object.NewRegistry()
	if err := registry.RegisterObjectType((*Box)(nil)); err != nil {
		panic(err)
	}
	s := server.New(&server.Config{
		ListenAddress: os.Getenv(portVariable), Shards: 16, DrainTimeout: time.Hour, CallTimeout: -1,
		Etcd:     []string{server.Memory},
		Registry: registry, Logger: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	p := newProbe()
	probes.Store(s.Runtime(), p)
	prepare(s, p)
	if err := s.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
