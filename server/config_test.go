package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// mistakes are the settings that no server starts with, and what the error says of them.
var mistakes = []struct {
	set  setting
	says string
}{
	{func(c *server.Config) { c.ListenAddress = "localhost" }, `ListenAddress: "localhost" is not host:port`},
	{func(c *server.Config) { c.AdvertiseAddress = "host:port" }, `AdvertiseAddress: port "port" is not a number from 0 to 65535`},
	{func(c *server.Config) { c.ClientListenAddress = "localhost:65536" }, `ClientListenAddress: port "65536" is not`},
	{func(c *server.Config) { c.Cluster = "a/b" }, `Cluster: "a/b" is not a name`},
	{func(c *server.Config) { c.InspectorAddress = "localhost" }, `InspectorAddress: "localhost" is not host:port`},
	{func(c *server.Config) { c.Etcd = []string{"localhost", ""} }, `Etcd: "localhost" is not host:port`},
	{func(c *server.Config) { c.Store = "sqlite:x.db" }, `Store: durable state is not part of this version, only "memory:" is`},
	{func(c *server.Config) { c.LeaseTTL = time.Second }, "LeaseTTL: 1s is less than 2s"},
	{func(c *server.Config) { c.DrainTimeout = -1 }, "DrainTimeout: -1ns is less than 1"},
	{func(c *server.Config) { c.Shards = -1 }, "Shards: -1 is not between 1 and 65536"},
	{func(c *server.Config) { c.Weight = -1 }, "Weight: -1 is not between 1 and 1000000"},
}

func TestEveryMistakeInTheConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	for _, m := range mistakes {
		f := create(t, m.set)
		wantError(t, m.says, f.Start(t.Context()), object.ErrInvalidArgument, object.ExecutedNo)
	}
	f := create(t, func(c *server.Config) {
		for _, m := range mistakes {
			m.set(c)
		}
	})
	err := f.Start(t.Context())
	wantError(t, "all at once", err, object.ErrInvalidArgument, object.ExecutedNo)
	for _, m := range mistakes {
		if !strings.Contains(err.Error(), m.says) {
			t.Errorf("%v\ndoes not say %s", err, m.says)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q has several lines", err)
	}
}

func TestMoreMistakesInTheConfiguration(t *testing.T) {
	t.Parallel()
	for says, set := range map[string]setting{
		"InspectorActions: there is no inspector":                 func(c *server.Config) { c.InspectorActions = true },
		"ListenAddress: port":                                     func(c *server.Config) { c.ListenAddress = "localhost:-1" },
		"ListenAddress: port \"http\"":                            func(c *server.Config) { c.ListenAddress = "localhost:http" },
		"AdvertiseAddress: nobody can connect to \"localhost:0\"": func(c *server.Config) { c.AdvertiseAddress = "localhost:0" },
		"AdvertiseAddress: nobody can connect to \":47000\"":      func(c *server.Config) { c.AdvertiseAddress = ":47000" },
		"AdvertiseAddress: nobody can connect to \"[::]:47000\"":  func(c *server.Config) { c.AdvertiseAddress = "[::]:47000" },
		"AdvertiseAddress: \"1:2:3\"":                             func(c *server.Config) { c.AdvertiseAddress = "1:2:3" },
		"AdvertiseAddress: nobody":                                func(c *server.Config) { c.AdvertiseAddress = "localhost:0" },
		"AdvertiseAddress: nobody can":                            func(c *server.Config) { c.AdvertiseAddress = ":47000" },
		"AdvertiseAddress: nobody can con":                        func(c *server.Config) { c.AdvertiseAddress = "[::]:47000" },
		"Cluster: \"with space\"":                                 func(c *server.Config) { c.Cluster = "with space" },
		"Cluster: \"\\x00\"":                                      func(c *server.Config) { c.Cluster = "\x00" },
		`Etcd: "memory:" stands alone`:                            func(c *server.Config) { c.Etcd = []string{server.Memory, server.Memory} },
		`Etcd: "embedded:localhost:1" stands alone`:               func(c *server.Config) { c.Etcd = []string{"embedded:localhost:1", "b:2"} },
		"Etcd: configure embedded etcd: invalid argument: 10.0.0.1:1 is not a loopback address": func(c *server.Config) { c.Etcd = []string{"embedded:10.0.0.1:1"} },
		"EtcdTLS, EtcdUsername, EtcdPassword: they are for endpoints, and Etcd names none":      func(c *server.Config) { c.EtcdTLS = &tls.Config{} },
		"EtcdUsername, EtcdPassword: both are needed, or neither":                               func(c *server.Config) { c.Etcd, c.EtcdUsername = []string{"a:1"}, "root" },
		"Etcd: an address is empty":                                 func(c *server.Config) { c.Etcd = []string{"embedded:"} },
		"LeaseTTL: 8760h0m0.000000001s is more than 8760h0m0s":      func(c *server.Config) { c.LeaseTTL = 365*24*time.Hour + 1 },
		"LeaseTTL: 2562047h47m16.854775807s is more than":           func(c *server.Config) { c.LeaseTTL = math.MaxInt64 },
		"DrainTimeout: 2562047h47m16.854775807s is more than 8760h": func(c *server.Config) { c.DrainTimeout = math.MaxInt64 },
		"LeaseTTL: 2562047h47m16.854775807s is more than 8760h0m0s; DrainTimeout: 2562047h47m16.854775807s is more than 8760h0m0s": func(c *server.Config) {
			c.Etcd, c.LeaseTTL, c.DrainTimeout = []string{"127.0.0.1:1"}, math.MaxInt64, math.MaxInt64
		},
		"LeaseTTL: -1s is less": func(c *server.Config) { c.LeaseTTL = -time.Second },
		"Shards: 65537 is not":  func(c *server.Config) { c.Shards = 1<<16 + 1 },
		"LeaseTTL: 5m0.001s is more than 5m0s": func(c *server.Config) {
			c.Etcd, c.LeaseTTL = []string{"127.0.0.1:1"}, 5*time.Minute+time.Millisecond
		},
		"DrainTimeout: 999ms is less than 1s": func(c *server.Config) {
			c.Etcd, c.DrainTimeout = nil, 999*time.Millisecond
		},
		"AdvertiseAddress: servers that meet at a:2379 cannot reach localhost:47000": func(c *server.Config) {
			c.Etcd, c.ListenAddress = []string{"localhost:2379", "a:2379"}, ""
		},
		"AdvertiseAddress: servers that meet at https://10.0.0.1:2379 cannot reach [::1]:1,": func(c *server.Config) {
			c.Etcd, c.ListenAddress, c.AdvertiseAddress = []string{"https://10.0.0.1:2379"}, ":0", "[::1]:1"
		},
		"AdminAddress: \"7\" is not host:port":          func(c *server.Config) { c.AdminAddress = "7" },
		"AdminAddress: :0 is not a loopback":            func(c *server.Config) { c.AdminAddress = ":0" },
		"AdminAddress: 10.0.0.1:1 is not a loopback":    func(c *server.Config) { c.AdminAddress = "10.0.0.1:1" },
		"AdminAddress: localhost.a:1 is not a loopback": func(c *server.Config) { c.AdminAddress = "localhost.a:1" },
		"Registry: none given":                          func(c *server.Config) { c.Registry = nil },
		"ClientListenAddress: no client type is registered": func(c *server.Config) {
			c.Registry = object.NewRegistry()
		},
	} {
		err := create(t, set).Start(t.Context())
		if object.CodeOf(err) != object.CodeInvalidArgument || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want invalid_argument and %s", err, says)
		}
	}
}

// What looks alike, and is right: no such problem is among those that are reported.
func TestNoMistakesInTheConfiguration(t *testing.T) {
	t.Parallel()
	for says, set := range map[string]setting{
		"AdvertiseAddress":          func(c *server.Config) { c.Etcd = []string{"localhost:2379", "http://127.0.0.2:2379", "[::1]:2379"} },
		"AdvertiseAddress:":         func(c *server.Config) { c.Etcd, c.AdvertiseAddress = []string{"a:2379"}, "b:47000" },
		"AdvertiseAddress: servers": func(c *server.Config) { c.Etcd, c.ListenAddress = []string{"a:2379"}, ":47000" },
		"LeaseTTL":                  func(c *server.Config) { c.Etcd, c.LeaseTTL = []string{"localhost:2379"}, 5*time.Minute },
		"DrainTimeout":              func(c *server.Config) { c.Etcd, c.DrainTimeout = []string{"localhost:2379"}, time.Second },
	} {
		err := create(t, set, func(c *server.Config) { c.Weight = -1 }).Start(t.Context()) // nothing is started
		if err == nil || !strings.Contains(err.Error(), "Weight") || strings.Contains(err.Error(), says) {
			t.Errorf("%v, want nothing of %s", err, says)
		}
	}
}

func TestNewWithoutConfiguration(t *testing.T) {
	t.Parallel()
	s := server.New(nil)
	err := s.Start(t.Context())
	if object.CodeOf(err) != object.CodeInvalidArgument || !strings.Contains(err.Error(), "Registry") {
		t.Errorf("start: %v, want the registry missed", err)
	}
	if err := server.New(nil).Run(); object.CodeOf(err) != object.CodeInvalidArgument {
		t.Errorf("run: %v, want invalid_argument", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestSupportedSettings(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *server.Config) {
		c.Etcd, c.Store, c.Cluster = []string{server.Memory}, server.Memory, "a.cluster-1"
		c.IdleTimeout, c.CallTimeout = -1, -1
		c.AdvertiseAddress = "somewhere.example:47000"
		c.LeaseTTL = 2 * time.Second
		c.Shards = 1
	})
	for i := range 10 {
		if got := f.add(t, boxNo(i), 5); got != 5 {
			t.Errorf("%s is %d", boxNo(i), got)
		}
	}
}

// The longest times that are allowed overflow nothing, and the timeouts of calls and idle
// objects may have all the time there is.
func TestLongestTimes(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *server.Config) {
		c.LeaseTTL, c.DrainTimeout = 365*24*time.Hour, 365*24*time.Hour
		c.IdleTimeout, c.CallTimeout = math.MaxInt64, math.MaxInt64
	})
	if got := f.add(t, "Box-1", 5); got != 5 {
		t.Errorf("Box-1 is %d, want 5", got)
	}
	whoami(t, f.dial(t))
	if err := f.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestConfigurationIsCopied(t *testing.T) {
	t.Parallel()
	cfg := &server.Config{ListenAddress: "127.0.0.1:0", Shards: 1, Etcd: []string{server.Memory}, Registry: newRegistry(t), Logger: create(t).logger()}
	s := server.New(cfg)
	cfg.ListenAddress, cfg.Shards, cfg.Registry = "nonsense", -1, nil
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("start: %v", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestFailedConfigurationEndsTheServer(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t)
	f := create(t, func(c *server.Config) { c.Shards, c.Registry = -1, registry })
	if err := f.Start(t.Context()); err == nil {
		t.Fatal("started")
	}
	receive(t, f.Done(), "Done")
	if !f.Stopped() {
		t.Error("not stopped")
	}
	wantError(t, "start again", f.Start(t.Context()), object.ErrFailedPrecondition, object.ExecutedNo)
	if err := f.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	_, err := f.CallObject(t.Context(), "Box-1", "Add", nil)
	wantError(t, "call", err, object.ErrUnavailable, object.ExecutedNo)
	if err := registry.RegisterObjectType((*Other)(nil)); err != nil {
		t.Errorf("the registry is not free: %v", err)
	}
	if errors.Is(err, context.Canceled) {
		t.Error("an unavailable server is no cancelled call")
	}
}

func TestTimeoutsReachTheObjects(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *server.Config) { c.IdleTimeout, c.CallTimeout = 20*time.Millisecond, 20*time.Millisecond })
	f.add(t, "Box-1", 1)
	f.probe.await(t, "deactivate Box-1 idle")
	_, err := f.CallObject(context.Background(), "Box-2", "Block", nil)
	wantError(t, "a call without a deadline", err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
}
