package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	embeddedetcd "github.com/xiaonanln/goverse/internal/coord/etcd/embedded"
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

// memoryTTL is the lease of servers that meet inside a process: one that has stood still
// has lost nothing to the others, which stood still as well.
const memoryTTL = 24 * time.Hour

// maxLeaseTTL is the longest lease from an etcd.
const maxLeaseTTL = 5 * time.Minute

// longest is the most that a lease or a stop may take: nobody waits so long, and it can be
// added to any time. (Calls and idle objects may have all the time there is: what is more
// than a lifetime is never, see package node.)
const longest = 365 * 24 * time.Hour

// Memory is the value of Etcd and Store that keeps everything inside the process.
const Memory = "memory:"

// Embedded is what the value of Etcd begins with that names the loopback address of an
// embedded etcd, "embedded:localhost:47380".
const Embedded = "embedded:"

// Config describes a server. The zero value of a field means its default; all
// problems of a configuration are reported together, by Start or Run.
type Config struct {
	// ListenAddress is where other nodes reach this one. Default localhost:47000;
	// port 0 takes a free one.
	ListenAddress string
	// AdvertiseAddress is the address that other nodes are told. Default: the bound
	// listen address, with the machine's host name where that is of all interfaces.
	AdvertiseAddress string
	// ClientListenAddress is where clients connect. Default: no client service.
	ClientListenAddress string
	// InspectorAddress is where the inspector's web page is served, which shows the whole
	// cluster. Default: off; port 0 takes a free one. Where it is not of the loopback,
	// visitors need a token: the one in the environment variable GOVERSE_INSPECTOR_TOKEN,
	// else one that is printed to standard error at the start, and not logged.
	InspectorAddress string
	// InspectorActions lets who sees that page act on the cluster: drain a node, move a
	// shard, deactivate an object, call a method, disconnect a client. Default: it only
	// watches.
	InspectorActions bool
	// AdminAddress is where programs on this machine ask how the server does: /metrics for
	// Prometheus, /healthz, /readyz, and profiles under /debug/pprof/. Default: off; port 0
	// takes a free one. It must be of the loopback interface: nobody is asked who they are.
	AdminAddress string
	// Cluster is the cluster's name, and the prefix of its keys in etcd. Default "goverse".
	Cluster string
	// Etcd lists the endpoints of the etcd that the servers of a cluster meet at,
	// "host:2379". Default: an embedded one on the loopback port 47379, which the first
	// server on the machine starts and others join; it lives and dies with the server that
	// started it. "embedded:localhost:47380" is the same on another port. "memory:" is a
	// coordinator inside the process, shared by its servers of the same Cluster that were
	// made with goverseapi.NewServer, for tests: it stands still when the process does.
	Etcd []string
	// EtcdTLS is how to reach etcd's endpoints: whom to trust, which certificate to show.
	// Default: in the clear, but for https endpoints, which the system's authorities vouch
	// for. EtcdUsername and EtcdPassword are those of etcd's own authentication. All are
	// for endpoints only.
	EtcdTLS                    *tls.Config
	EtcdUsername, EtcdPassword string
	// DataDir is where an embedded etcd keeps its data, and what lets others take over at
	// once when this server has crashed and is started again (on Linux, on a local file
	// system): one server at a time uses it. It keeps the cluster's identity too: another
	// one of the same name is refused. Default: nothing is kept. The state of objects is
	// not durable in this version.
	DataDir string
	// Store is "memory:" (the default). Others are not supported yet.
	Store string
	// LeaseTTL is how long the server counts as alive without a sign of life: others take
	// its shards then, and it has stopped answering before. Default 6 s, with "memory:" a
	// day; at least 2 s, and at most 5 min, with "memory:" a year. etcd grants whole seconds.
	LeaseTTL time.Duration
	// Shards is how many parts the objects of a cluster are divided into. Default 8192.
	Shards int
	// Weight is how many shards the server takes in relation to others of its cluster.
	// Default 1, at most 1 000 000.
	Weight int
	// IdleTimeout is how long objects without calls stay active, where their type does
	// not say. Default 15 min; negative: for ever.
	IdleTimeout time.Duration
	// CallTimeout limits calls whose context has no deadline, where type and method do
	// not say. Default 30 s; negative: no limit.
	CallTimeout time.Duration
	// DrainTimeout limits a stop: calls that still run then are cancelled. Four fifths of
	// it are for handing the shards over to other servers, and for the drain of a shard in
	// any planned move, where that is less than 10 s. Default 30 s; but for "memory:" at
	// least 1 s; at most a year.
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
	if c.inMemory() {
		setDefault(&c.LeaseTTL, memoryTTL)
	}
	setDefault(&c.LeaseTTL, DefaultLeaseTTL)
	setDefault(&c.Shards, shard.DefaultCount)
	setDefault(&c.Weight, 1)
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

// actionsProblem says that nobody could act.
func (c Config) actionsProblem() error {
	if c.InspectorActions && c.InspectorAddress == "" {
		return problem("InspectorActions", "there is no inspector (see InspectorAddress)")
	}
	return nil
}

// validate reports all that is wrong with a configuration whose defaults are filled in.
func (c Config) validate() error {
	problems := []error{
		addressProblem("ListenAddress", c.ListenAddress),
		advertiseProblem(c.AdvertiseAddress),
		addressProblem("ClientListenAddress", c.ClientListenAddress),
		addressProblem("InspectorAddress", c.InspectorAddress),
		c.actionsProblem(),
		c.adminProblem(),
		c.clusterProblem(),
		c.clientProblem(),
		c.etcdProblem(),
		c.unsupported(),
		c.loopbackProblem(),
		c.timeProblem(),
	}
	if c.Shards < 1 || c.Shards > 1<<16 {
		problems = append(problems, problem("Shards", "%d is not between 1 and %d", c.Shards, 1<<16))
	}
	if c.Weight < 1 || c.Weight > shard.MaxWeight {
		problems = append(problems, problem("Weight", "%d is not between 1 and %d", c.Weight, shard.MaxWeight))
	}
	if err := errors.Join(problems...); err != nil {
		return object.Refuse(object.CodeInvalidArgument, "", "configure server", "", "", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// adminProblem keeps the server's memory, which profiles show, from other machines.
func (c Config) adminProblem() error {
	if err := addressProblem("AdminAddress", c.AdminAddress); err != nil || c.AdminAddress == "" || loopback(c.AdminAddress) {
		return err
	}
	return problem("AdminAddress", "%s is not a loopback address: profiles show what is in memory, and nobody is asked who they are; reach it by a tunnel", c.AdminAddress)
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

// etcdProblem checks where the coordination store is.
func (c Config) etcdProblem() error {
	var problems []error
	for _, e := range c.Etcd {
		switch address, embedded := strings.CutPrefix(e, Embedded); {
		case (e == Memory || embedded) && len(c.Etcd) > 1:
			problems = append(problems, problem("Etcd", "%q stands alone", e))
		case e == Memory:
		case e == "" || address == "":
			problems = append(problems, problem("Etcd", "an address is empty"))
		case embedded:
			if _, err := embeddedetcd.New(embeddedetcd.Config{Address: address}); err != nil {
				problems = append(problems, problem("Etcd", "%w", err))
			}
		default:
			address = strings.TrimPrefix(strings.TrimPrefix(address, "http://"), "https://")
			problems = append(problems, addressProblem("Etcd", address))
		}
	}
	secured := c.EtcdTLS != nil || c.EtcdUsername != "" || c.EtcdPassword != ""
	switch {
	case secured && (c.embedded() || c.inMemory()):
		problems = append(problems, problem("EtcdTLS, EtcdUsername, EtcdPassword", "they are for endpoints, and Etcd names none"))
	case (c.EtcdUsername == "") != (c.EtcdPassword == ""):
		problems = append(problems, problem("EtcdUsername, EtcdPassword", "both are needed, or neither"))
	}
	return errors.Join(problems...)
}

// loopbackProblem finds a server that the others of its cluster cannot reach: they meet at
// an etcd that may be another machine's, and are told an address of this one's own.
func (c Config) loopbackProblem() error {
	if c.embedded() || c.inMemory() {
		return nil
	}
	advertised := c.AdvertiseAddress
	if advertised == "" {
		advertised = c.ListenAddress
	}
	if !loopback(advertised) {
		return nil
	}
	for _, e := range c.Etcd {
		address := strings.TrimPrefix(strings.TrimPrefix(e, "http://"), "https://")
		if addressProblem("", address) == nil && address != "" && !loopback(address) {
			return problem("AdvertiseAddress", "servers that meet at %s cannot reach %s, which is the loopback of each machine: set AdvertiseAddress, or ListenAddress", e, advertised)
		}
	}
	return nil
}

// loopback reports whether an address is of the loopback interface.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// timeProblem checks the durations that others have to wait for. Inside a process nobody
// waits long for anything.
func (c Config) timeProblem() error {
	shortestStop := time.Second // what is left of it for the drain of a shard must be enough for most calls
	if c.inMemory() {
		shortestStop = time.Millisecond
	}
	problems := []error{
		between("LeaseTTL", c.LeaseTTL, cluster.MinLeaseTTL, longest),
		between("DrainTimeout", c.DrainTimeout, shortestStop, longest),
	}
	if c.LeaseTTL > maxLeaseTTL && c.LeaseTTL <= longest && !c.inMemory() {
		problems = append(problems, problem("LeaseTTL", "%v is more than %v: so long nobody would take over the shards of a server that died", c.LeaseTTL, maxLeaseTTL))
	}
	return errors.Join(problems...)
}

// embedded reports whether the server takes part in an embedded etcd.
func (c Config) embedded() bool { return len(c.Etcd) == 0 || strings.HasPrefix(c.Etcd[0], Embedded) }

// inMemory reports whether the coordination store is inside the process.
func (c Config) inMemory() bool { return len(c.Etcd) == 1 && c.Etcd[0] == Memory }

// unsupported reports the settings that this version does not have.
func (c Config) unsupported() error {
	var problems []error
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

func between(field string, d, least, most time.Duration) error {
	switch {
	case d < least:
		return problem(field, "%v is less than %v", d, least)
	case d > most:
		return problem(field, "%v is more than %v", d, most)
	}
	return nil
}

// problem says what is wrong with a field.
func problem(field, format string, args ...any) error {
	return fmt.Errorf("%s: %w", field, fmt.Errorf(format, args...))
}
