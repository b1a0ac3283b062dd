package etcd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
)

// Config says where etcd is and how to enter. Only Endpoints is needed.
type Config struct {
	// Endpoints are the client addresses of the members, "host:port", "http://host:port" or "https://host:port". It is
	// well to name all members. An address without a scheme is reached by TLS if TLS is set, and in the clear if not.
	Endpoints []string

	// TLS is how to check the members' certificates, and which certificate to show. Default: none, or the system's
	// authorities for https endpoints. It must not be changed any more.
	TLS *tls.Config

	// Username and Password are those of etcd's own authentication. Default: none.
	Username, Password string

	// DialTimeout is how long one attempt to connect may take, and how long Open waits for the first answer. Default
	// 5 s.
	DialTimeout time.Duration

	// Fragile says that the etcd keeps nothing: when its process ends, all that it has promised is void, and another that
	// begins with nothing may take its place at once. It is on this machine, or its end could go unnoticed for longer.
	// [Store.Broken] tells then when a connection ends.
	Fragile bool

	// Logger hears of endpoints that fail. Default: nobody.
	Logger *slog.Logger
}

// endpoint is a member's client address.
type endpoint struct {
	name    string // as configured
	address string // host:port
	tls     *tls.Config
}

// complete is the configuration with its defaults, and its endpoints. It reports all problems at once.
func (c Config) complete() (Config, []endpoint, error) {
	var problems []error
	if c.DialTimeout == 0 {
		c.DialTimeout = 5 * time.Second
	}
	if c.DialTimeout < 0 {
		problems = append(problems, fmt.Errorf("dial timeout %v is negative", c.DialTimeout))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if (c.Username == "") != (c.Password == "") {
		problems = append(problems, errors.New("user name and password are needed both, or neither"))
	}
	if len(c.Endpoints) == 0 {
		problems = append(problems, errors.New("no endpoint is given"))
	}
	var endpoints []endpoint
	for _, name := range c.Endpoints {
		e, err := c.parse(name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if !slices.ContainsFunc(endpoints, func(o endpoint) bool { return o.address == e.address }) {
			endpoints = append(endpoints, e)
		}
	}
	if len(problems) > 0 {
		return Config{}, nil, fmt.Errorf("%w: %w", coord.ErrInvalid, errors.Join(problems...))
	}
	return c, endpoints, nil
}

func (c Config) parse(name string) (endpoint, error) {
	scheme, address, ok := strings.Cut(name, "://")
	if !ok {
		scheme, address = "", name
	}
	e := endpoint{name: name, address: strings.TrimSuffix(address, "/"), tls: c.TLS}
	switch {
	case scheme == "https" && e.tls == nil:
		e.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	case scheme == "http" && e.tls != nil:
		return endpoint{}, fmt.Errorf("endpoint %q is reached without TLS although TLS is configured", name)
	case scheme != "" && scheme != "http" && scheme != "https":
		return endpoint{}, fmt.Errorf("endpoint %q: scheme %q is neither http nor https", name, scheme)
	}
	host, port, err := net.SplitHostPort(e.address)
	if err != nil || host == "" || port == "" || strings.ContainsAny(e.address, "/?#@ ") {
		return endpoint{}, fmt.Errorf("endpoint %q is not host:port", name)
	}
	return e, nil
}
