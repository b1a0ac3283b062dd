package main

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xiaonanln/goverse/goverseapi"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	defaults := goverseapi.ServerConfig{ListenAddress: "localhost:47000", ClientListenAddress: "localhost:48000"}
	all := goverseapi.ServerConfig{
		ListenAddress: "a:1", ClientListenAddress: "b:2", AdvertiseAddress: "c:3",
		Etcd: []string{"d:4", "e:5"}, DataDir: "f", InspectorAddress: "g:6", InspectorActions: true, AdminAddress: "h:7",
	}
	for _, tt := range []struct {
		name string
		args string
		want goverseapi.ServerConfig
	}{
		{"none", "", defaults},
		{"all", "-listen a:1 -client-listen=b:2 --advertise c:3 -etcd d:4,e:5 -data f -inspector g:6 -actions -admin h:7", all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stderr strings.Builder
			got, err := parseFlags(strings.Fields(tt.args), &stderr)
			if err != nil || stderr.Len() > 0 {
				t.Fatalf("%v, %s", err, stderr.String())
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFailuresHaveACodeAndOneLine(t *testing.T) { //nolint:paralleltest // it uses the process's default server
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	const free = "-listen localhost:0 -client-listen localhost:0 -etcd memory: "
	for _, tt := range []struct {
		name string
		args string
		want string
	}{
		{"port taken", "-listen localhost:0 -etcd memory: -client-listen " + taken.Addr().String(), "address already in use"},
		{"bad address", free + "-advertise nowhere", `configure server: -advertise: "nowhere" is`},
		{"several problems", "-listen x -client-listen y", `configure server: -listen: "x" is not host:port; -client-listen: "y" is`},
		{"no etcd", free + "-etcd embedded:" + taken.Addr().String(), "name an etcd with -etcd"},
		{"empty etcd", free + "-etcd localhost:1,", "configure server: -etcd: an address is empty"},
		{"etcd for all to see", free + "-etcd embedded:0.0.0.0:0", "configure server: -etcd: "},
		{"no directory", free + "-data " + os.DevNull + "/x", "run service data directory: -data: "},
		{"inspector", free + "-inspector localhost", `configure server: -inspector: "localhost" is not host:port`},
		{"admin for all to see", free + "-admin 0.0.0.0:0", "configure server: -admin: 0.0.0.0:0 is not a loopback address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr strings.Builder
			if code := run(strings.Fields(tt.args), &stderr); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			line := stderr.String()
			if !strings.HasPrefix(line, "chat server: ") || !strings.Contains(line, tt.want) || strings.Count(line, "\n") != 1 {
				t.Errorf("said %q, want one line about %s", line, tt.want)
			}
		})
	}
}

func TestWrongFlagsAndHelp(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{"-port 1": 2, "stray": 2, "-listen": 2, "-h": 0} {
		var stderr strings.Builder
		if code := run(strings.Fields(args), &stderr); code != want {
			t.Errorf("%s: exit code %d, want %d", args, code, want)
		}
		if !strings.Contains(stderr.String(), "-client-listen") {
			t.Errorf("%s: no usage in %q", args, stderr.String())
		}
	}
}

// TestHelpNamesTheFlags looks for the flags that users are promised.
func TestHelpNamesTheFlags(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	if code := run([]string{"-help"}, &help); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, flag := range []string{"listen", "client-listen", "advertise", "etcd", "data", "inspector"} {
		if !strings.Contains(help.String(), "\n  -"+flag+" ") {
			t.Errorf("no help for -%s in\n%s", flag, help.String())
		}
	}
}
