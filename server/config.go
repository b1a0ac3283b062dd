package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/logger"
)

// The defaults of [Config].
const (
	DefaultListenAddress = "localhost:47000"
	DefaultCluster       = "goverse"
	DefaultLeaseTTL      = 6 * time.Second
	DefaultDrainTimeout  = 30 * time.Second
)

// Memory is the value of Etcd and Store that keeps everything inside the process.
const Memory = "memory:"

// Config describes a server. The zero value of a field means its default; all
// problems of a configuration are reported together, by Start or Run.
type Config struct {
	// ListenAddress is where other nodes reach this one. Default localhost:47000;
	// port 0 takes a free one.
	ListenAddress string
	// AdvertiseAddress is the address that other nodes are told. Default: the bound
	// listen address.
	AdvertiseAddress string
	// ClientListenAddress is where clients connect. Default: no client service.
	ClientListenAddress string
	// InspectorAddress is for the inspector's web page. Default: off. Not supported yet.
	InspectorAddress string
	// Cluster is the cluster's name. Default "goverse".
	Cluster string
	// Etcd lists the endpoints of the coordination store. Default, and "memory:": one
	// inside this server, so that in this version a cluster is one server, and servers
	// of the same Cluster do not meet. Other values are not supported yet.
	Etcd []string
	// DataDir is where durable state is kept. Default: nothing is kept. Not supported yet.
	DataDir string
	// Store is "memory:" (the default). Others are not supported yet.
	Store string
	// LeaseTTL is how long the server counts as alive without a sign of life.
	// Default 6 s, at least 2 s.
	LeaseTTL time.Duration
	// Shards is how many parts the objects of a cluster are divided into. Default 8192.
	Shards int
	// IdleTimeout is how long objects without calls stay active, where their type does
	// not say. Default 15 min; negative: for ever.
	IdleTimeout time.Duration
	// CallTimeout limits calls whose context has no deadline, where type and method do
	// not say. Default 30 s; negative: no limit.
	CallTimeout time.Duration
	// DrainTimeout limits a stop: calls that still run then are cancelled. Default 30 s.
	DrainTimeout time.Duration
	// Registry holds the types. Default for goverseapi.NewServer: the process's;
	// required for [New].
	Registry *object.Registry
	// Logger gets the server's events. Default: text on standard error, from Info up.
	Logger *slog.Logger
}

// withDefaults returns a copy with every default filled in.
func (c Config) withDefaults() Config {
	setDefault(&c.ListenAddress, DefaultListenAddress)
	setDefault(&c.Cluster, DefaultCluster)
	setDefault(&c.Store, Memory)
	setDefault(&c.LeaseTTL, DefaultLeaseTTL)
	setDefault(&c.Shards, shard.DefaultCount)
	setDefault(&c.IdleTimeout, object.DefaultIdleTimeout)
	setDefault(&c.CallTimeout, object.DefaultCallTimeout)
	setDefault(&c.DrainTimeout, DefaultDrainTimeout)
	if c.Logger == nil {
		c.Logger = logger.New(os.Stderr, slog.LevelInfo)
	}
	return c
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// validate reports all that is wrong with a configuration whose defaults are filled in.
func (c Config) validate() error {
	problems := []error{
		addressProblem("ListenAddress", c.ListenAddress),
		advertiseProblem(c.AdvertiseAddress),
		addressProblem("ClientListenAddress", c.ClientListenAddress),
		c.clusterProblem(),
		c.clientProblem(),
		c.unsupported(),
		atLeast("LeaseTTL", c.LeaseTTL, 2*time.Second),
		atLeast("DrainTimeout", c.DrainTimeout, time.Millisecond),
	}
	if c.Shards < 1 || c.Shards > 1<<16 {
		problems = append(problems, problem("Shards", "%d is not between 1 and %d", c.Shards, 1<<16))
	}
	if err := errors.Join(problems...); err != nil {
		return object.Refuse(object.CodeInvalidArgument, "", "configure server", "", "", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

func (c Config) clusterProblem() error {
	if _, _, err := object.ParseID("Cluster-" + c.Cluster); err != nil || strings.ContainsAny(c.Cluster, " \t") {
		return problem("Cluster", "%q is not a name", c.Cluster)
	}
	return nil
}

func (c Config) clientProblem() error {
	switch {
	case c.Registry == nil:
		return problem("Registry", "none given")
	case c.ClientListenAddress != "" && c.Registry.ClientType() == nil:
		return problem("ClientListenAddress", "no client type is registered")
	}
	return nil
}

// unsupported reports the settings that this version does not have.
func (c Config) unsupported() error {
	var problems []error
	if c.InspectorAddress != "" {
		problems = append(problems, problem("InspectorAddress", "the inspector is not part of this version"))
	}
	if len(c.Etcd) > 0 && (len(c.Etcd) > 1 || c.Etcd[0] != Memory) {
		problems = append(problems, problem("Etcd", "clusters of several servers are not part of this version, only %q is", Memory))
	}
	if c.DataDir != "" {
		problems = append(problems, problem("DataDir", "durable state is not part of this version"))
	}
	if c.Store != Memory {
		problems = append(problems, problem("Store", "durable state is not part of this version, only %q is", Memory))
	}
	return errors.Join(problems...)
}

// addressProblem checks host:port; an empty address is none.
func addressProblem(field, address string) error {
	if address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return problem(field, "%q is not host:port", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return problem(field, "port %q is not a number from 0 to 65535", port)
	}
	return nil
}

// advertiseProblem checks an address that others are to dial.
func advertiseProblem(address string) error {
	if err := addressProblem("AdvertiseAddress", address); err != nil || address == "" {
		return err
	}
	host, port, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	if host == "" || port == "0" || (ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("AdvertiseAddress: nobody can connect to %q", address)
	}
	return nil
}

func atLeast(field string, d, least time.Duration) error {
	if d < least {
		return problem(field, "%v is less than %v", d, least)
	}
	return nil
}

// problem says what is wrong with a field.
func problem(field, format string, args ...any) error {
	return fmt.Errorf("%s: %w", field, fmt.Errorf(format, args...))
}
