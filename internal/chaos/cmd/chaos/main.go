//go:build linux

// Command chaos torments a cluster of real processes and checks what it has answered:
//
//	go run ./internal/chaos/cmd/chaos -run short
//	CHAOS_SEED=42 go run ./internal/chaos/cmd/chaos -run kill
//
// It starts itself again as the nodes and as the members of etcd. It exits with 0 if no
// invariant was broken, with 1 if one was or if a run was invalid, and with 2 for wrong
// flags. See docs/chaos.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/nemesis"
	"github.com/xiaonanln/goverse/internal/chaos/role"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/logger"
)

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	if len(args) == 2 && (args[0] == "node" || args[0] == "etcd") {
		return report(play(ctx, args[0], []byte(args[1])))
	}
	cfg, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return exitUsage
	}
	return report(nemesis.Run(ctx, cfg))
}

func report(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return exitFailed
	}
	return exitOK
}

// play is a child of the harness.
func play(ctx context.Context, name string, config []byte) error {
	streams := role.Streams{In: os.Stdin, Out: os.Stdout, Err: logger.New(os.Stderr, slog.LevelDebug)}
	if name == "etcd" {
		var cfg role.EtcdConfig
		if err := json.Unmarshal(config, &cfg); err != nil {
			return err
		}
		return role.Etcd(ctx, cfg, streams)
	}
	var cfg role.NodeConfig
	if err := json.Unmarshal(config, &cfg); err != nil {
		return err
	}
	return role.Node(ctx, cfg, streams)
}

func parseFlags(args []string) (nemesis.Config, error) {
	cfg := nemesis.Config{Clock: clock.System(), Out: os.Stdout}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.StringVar(&cfg.Scenarios, "run", "all", "`scenarios`, separated by commas: all, short, or names (-list)")
	list := flags.Bool("list", false, "list the scenarios")
	flags.Uint64Var(&cfg.Seed, "seed", 0, "repeats the faults of the run that printed it (default $CHAOS_SEED, else by the clock)")
	flags.DurationVar(&cfg.For, "for", 0, "go round until this much time has passed (default $CHAOS_FOR, else one round)")
	flags.IntVar(&cfg.Shards, "shards", 512, "`number` of shards")
	flags.StringVar(&cfg.Keep, "keep", "", "`folder` that keeps the records of all runs (default: only of those that failed, in a temporary one)")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if flags.NArg() > 0 {
		return cfg, fmt.Errorf("unexpected argument: %s", flags.Arg(0))
	}
	if *list {
		nemesis.List(os.Stdout)
		return cfg, flag.ErrHelp
	}
	return fromEnvironment(cfg)
}

func fromEnvironment(cfg nemesis.Config) (_ nemesis.Config, err error) {
	if text := os.Getenv("CHAOS_SEED"); text != "" && cfg.Seed == 0 {
		if cfg.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return cfg, fmt.Errorf("CHAOS_SEED: %w", err)
		}
	}
	if text := os.Getenv("CHAOS_FOR"); text != "" && cfg.For == 0 {
		if cfg.For, err = time.ParseDuration(text); err != nil {
			return cfg, fmt.Errorf("CHAOS_FOR: %w", err)
		}
	}
	if cfg.Seed == 0 {
		cfg.Seed = uint64(time.Now().UnixNano()) & (1<<53 - 1)
	}
	return cfg, nil
}
