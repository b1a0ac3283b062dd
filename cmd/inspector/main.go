// Command inspector shows a cluster of GoVerse servers in a web page, live.
//
//	go run ./cmd/inspector/ -listen localhost:8080 -etcd localhost:47379 -cluster goverse
//
// It may be started before any server, and says then that it waits; it finds all servers
// of the cluster through etcd. It only watches, unless -actions is given. Addresses other
// than the loopback demand a token of whoever comes: the one in the environment variable
// GOVERSE_INSPECTOR_TOKEN, else one that is printed at the start.
//
// It stops on SIGINT or SIGTERM, and exits with 0 then, with 1 and one line on standard
// error after a failure, and with 2 for wrong flags. All goroutines are package inspector's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/xiaonanln/goverse/inspector"
	"github.com/xiaonanln/goverse/inspector/web"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/logger"
)

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// tokenVariable is the environment variable with the token for other machines.
const tokenVariable = "GOVERSE_INSPECTOR_TOKEN"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Getenv(tokenVariable), os.Stderr))
}

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string, token string, stderr io.Writer) int {
	config, err := parseFlags(args, token, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	config.Ready = func(address, made string) { greet(stderr, config, address, made) }
	if err := inspector.New(*config).Run(ctx); err != nil {
		fmt.Fprintln(stderr, "inspector:", err)
		return exitFailed
	}
	return exitOK
}

// parseFlags returns the configuration that the flags ask for. What is wrong with them, or
// with the token, it has told the user already.
func parseFlags(args []string, token string, stderr io.Writer) (*inspector.Config, error) {
	config := &inspector.Config{Token: token, Assets: web.FS(), Logger: logger.New(stderr, slog.LevelError), Clock: clock.System()}
	flags := flag.NewFlagSet("inspector", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&config.Address, "listen", "localhost:8080", "`address` of the page; others than the loopback demand a token, see "+tokenVariable)
	var meet meeting
	meet.flags(flags)
	hosts := flags.String("hosts", "", "`names` by which browsers reach the page beside that of -listen, separated by commas: those of a proxy, or of this machine")
	flags.StringVar(&config.Cluster, "cluster", "goverse", "`name` of the cluster")
	flags.BoolVar(&config.Actions, "actions", false, "let whoever sees the page act on the cluster: drain, move, deactivate, call, disconnect")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	config.Etcd = list(meet.endpoints)
	if *hosts != "" {
		config.Hosts = list(*hosts)
	}
	if err := check(flags.Args(), config); err != nil {
		fmt.Fprintln(stderr, err)
		flags.Usage()
		return nil, err
	}
	where, err := meet.config(os.Getenv(passwordVariable))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return nil, err
	}
	config.Open = func(ctx context.Context) (coord.Store, func(), error) {
		store, err := etcd.Open(ctx, where)
		if err != nil {
			return nil, nil, err
		}
		return store, func() { _ = store.Close() }, nil // it was only read from
	}
	return config, nil
}

// list is what stands between commas.
func list(text string) []string {
	all := strings.Split(text, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

// check says what is wrong with flags that could be parsed.
func check(rest []string, config *inspector.Config) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument: %s", rest[0])
	}
	if err := checkAddress(config.Address); err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	for _, endpoint := range config.Etcd {
		if err := checkEndpoint(endpoint); err != nil {
			return fmt.Errorf("-etcd: %w", err)
		}
	}
	if n := len(config.Token); n > 0 && n < inspector.MinToken {
		return fmt.Errorf("%s: it has %d bytes, at least %d are needed", tokenVariable, n, inspector.MinToken)
	}
	if config.Cluster == "" || strings.ContainsAny(config.Cluster, "/ \t\n") {
		return fmt.Errorf("-cluster: %q is not a name", config.Cluster)
	}
	return nil
}

// checkEndpoint says what is wrong with an endpoint, host:port or a URL of one.
func checkEndpoint(endpoint string) error {
	address := endpoint
	if scheme, rest, ok := strings.Cut(endpoint, "://"); ok && (scheme == "http" || scheme == "https") {
		address = strings.TrimSuffix(rest, "/")
	}
	if strings.HasPrefix(address, ":") || strings.ContainsAny(address, "/?#@ ") {
		return fmt.Errorf("%q is not host:port", endpoint)
	}
	return checkAddress(address)
}

// checkAddress says what is wrong with an address.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", address)
	}
	return nil
}

// greet says where the inspector is.
func greet(stderr io.Writer, config *inspector.Config, address, made string) {
	host, port, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	fmt.Fprintf(stderr, "inspector: http://%s shows cluster %q, which it finds, or waits for, at etcd %s\n",
		net.JoinHostPort(host, port), config.Cluster, strings.Join(config.Etcd, ", "))
	if made != "" {
		fmt.Fprintf(stderr, "inspector: log in with the token %s (set %s to have one of your own)\n", made, tokenVariable)
	}
}
