package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/xiaonanln/goverse/bench/echo"
	"github.com/xiaonanln/goverse/bench/goverse"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/bench/protoactor"
	"github.com/xiaonanln/goverse/bench/report"
)

// remotes lists the peers whose callers and objects live in different processes, in the table's order.
func remotes() []peer.Remote {
	return []peer.Remote{
		echo.TCP(), echo.Batched(), echo.Messages(), echo.Unary(), protoactor.Remote(), protoactor.RemoteGrainRequest(), protoactor.RemoteGrain(),
		goverse.Pair(false), goverse.Pair(true),
		goverse.Own(goverse.ViaCall), goverse.Own(goverse.ViaSession), goverse.Relayed(goverse.ViaCall), goverse.Relayed(goverse.ViaSession),
	}
}

// remotePlan is what remote measures.
type remotePlan struct {
	peers       []peer.Remote
	payloads    []int
	callers     []int
	objects     int
	repetitions int
	duration    time.Duration
	rate        float64 // of calls that are due whatever happens
	links       int     // memory of so many peers, of so many idle clients, push to so many members; 0: none
	sessions    int
	members     int
	profiles    string // folder of CPU profiles; empty: none
	temp        string // folder for the processes' temporary files, which those that are killed leave behind
	short       bool
}

// remote measures calls to another process and prints one table.
func remote(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	p, raw, err := parseRemote(args, stderr)
	if err != nil {
		return err
	}
	if p.temp, err = os.MkdirTemp("", "gvbench"); err != nil {
		return fmt.Errorf("make folder for temporary files: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.temp)) }()
	weight, err := peer.MessageAllocations(p.payloads[0])
	if err != nil {
		return err
	}
	r := &report.Report{Lines: p.machine(weight), Baselines: remoteBaselines(), Figures: p.figures(), MessageAllocations: weight}
	for i := range p.repetitions {
		if len(p.peers) == 0 {
			break
		}
		fmt.Fprintf(stderr, "repetition %d of %d\n", i+1, p.repetitions)
		if err := p.repeat(ctx, r, stderr); err != nil {
			return err
		}
	}
	if err := p.crowds(ctx, r, stderr); err != nil {
		return err
	}
	if raw != "" {
		if err := writeRaw(raw, r); err != nil {
			return err
		}
	}
	return r.Write(stdout)
}

func parseRemote(args []string, stderr io.Writer) (remotePlan, string, error) {
	p := remotePlan{peers: remotes()}
	flags := flag.NewFlagSet("remote", flag.ContinueOnError)
	flags.BoolVar(&p.short, "short", false, "every row once, quickly, with few objects; the times mean nothing")
	payloads := flags.String("payloads", "16,1024", "bytes that go and come back, separated by commas")
	callers := flags.String("callers", "1,64,512,4096", "callers at once, separated by commas")
	only := flags.String("peers", "", "the peers to measure, separated by commas (empty: all; none: only what many members cost)")
	raw := flags.String("json", "", "write all repetitions to this file too")
	flags.IntVar(&p.objects, "objects", 4096, "objects that each caller picks from")
	flags.IntVar(&p.repetitions, "reps", 5, "repetitions of every row, one row after the other each time")
	flags.DurationVar(&p.duration, "d", 500*time.Millisecond, "length of a throughput run, and of a latency run; the warm-up takes half")
	flags.Float64Var(&p.rate, "rate", 20_000, "calls a second of the runs at a fixed rate (0: no such runs); further ones are at half of what a row can do at most")
	flags.StringVar(&p.profiles, "cpuprofiles", "", "write CPU profiles of all processes into this folder, of the last repetition")
	flags.IntVar(&p.links, "links", 1000, "weigh what so many peers cost a node (0: no)")
	flags.IntVar(&p.sessions, "sessions", 10_000, "weigh what so many idle clients cost a node (0: no)")
	flags.IntVar(&p.members, "members", 10_000, "push to so many clients in one room (0: no)")
	if err := parse(flags, args, stderr); err != nil {
		return remotePlan{}, "", err
	}
	if p.short {
		p.repetitions, p.duration, p.objects = 1, 20*time.Millisecond, 64
		p.links, p.sessions, p.members = min(p.links, 30), min(p.sessions, 30), min(p.members, 30)
	}
	var err error
	if p.payloads, err = parseCounts(*payloads); err != nil {
		return remotePlan{}, "", err
	}
	if least := slices.Min(p.payloads); least < peer.StampBytes {
		return remotePlan{}, "", usageError{fmt.Errorf("a payload of %d bytes is too small to tell calls apart, which takes %d", least, peer.StampBytes)}
	}
	if p.callers, err = parseCounts(*callers); err != nil {
		return remotePlan{}, "", err
	}
	if p.repetitions < 1 || p.objects < 1 || p.duration <= 0 {
		return remotePlan{}, "", usageError{errors.New("-reps, -objects and -d must be more than zero")}
	}
	if *only != "" {
		p.peers = nil
		if *only == "none" {
			return p, *raw, nil
		}
		for name := range strings.SplitSeq(*only, ",") {
			found, err := findRemote(name)
			if err != nil {
				return remotePlan{}, "", err
			}
			p.peers = append(p.peers, found)
		}
	}
	return p, *raw, nil
}

func parseCounts(list string) ([]int, error) {
	var counts []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, usageError{fmt.Errorf("%q is not a number from 1", text)}
		}
		counts = append(counts, n)
	}
	return counts, nil
}

func findRemote(name string) (peer.Remote, error) {
	for _, p := range remotes() {
		if p.Name() == name {
			return p, nil
		}
	}
	return nil, usageError{fmt.Errorf("no peer between processes is called %q", name)}
}

// repeat measures every row once: the processes of all peers are started, then each workload is measured on one peer
// after the other while the others stand idle.
func (p remotePlan) repeat(ctx context.Context, r *report.Report, stderr io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx) // a failure kills what still runs
	defer cancel()
	crews, err := p.open(ctx)
	defer func() {
		if err != nil {
			cancel()
		}
		err = errors.Join(err, closeCrews(crews, err != nil))
	}()
	if err != nil {
		return err
	}
	if err := p.closed(crews, r, stderr); err != nil {
		return err
	}
	if err := p.paced(crews, r, stderr); err != nil {
		return err
	}
	for _, c := range crews {
		if err := c.audit(); err != nil {
			return err
		}
	}
	return nil
}

// closed measures callers who make their next call when the one before has been answered.
func (p remotePlan) closed(crews []*crew, r *report.Report, stderr io.Writer) error {
	if err := p.profile(crews, p.profiles); err != nil {
		return err
	}
	for _, payload := range p.payloads {
		for _, callers := range p.callers {
			fmt.Fprintf(stderr, "  %d bytes, %d callers\n", payload, callers)
			for _, c := range crews {
				if callers > c.mostCallers {
					continue
				}
				sample, err := c.measure(payload, callers, p.objects, p.duration)
				if err != nil {
					return err
				}
				r.Crossings = append(r.Crossings, sample)
			}
		}
	}
	return p.profile(crews, "")
}

// profile has all processes begin to write CPU profiles, or end them, if they are to.
func (p remotePlan) profile(crews []*crew, dir string) error {
	if p.profiles == "" {
		return nil
	}
	for _, c := range crews {
		if err := c.profile(dir); err != nil {
			return err
		}
	}
	return nil
}

// paced measures at fixed rates.
func (p remotePlan) paced(crews []*crew, r *report.Report, stderr io.Writer) error {
	if p.rate <= 0 {
		return nil
	}
	// So many callers that one nearly always has nothing to do, and no more.
	const enough = 1024
	payload, callers, d := p.payloads[0], min(slices.Max(p.callers), enough), p.duration
	if !p.short {
		d = max(d, time.Second)
	}
	for _, half := range []bool{false, true} {
		pace := fmt.Sprintf("%.0f/s due", p.rate)
		if half {
			pace = "half of its most due"
		}
		fmt.Fprintf(stderr, "  %d bytes, %s\n", payload, pace)
		for _, c := range crews {
			if !slices.Contains(pacedPeers(), c.name) {
				continue
			}
			rate := p.rate
			if half {
				rate = c.most / 2
			}
			sample, err := c.open(payload, callers, p.objects, rate, d)
			if err != nil {
				return err
			}
			sample.Pace = pace
			r.Crossings = append(r.Crossings, sample)
		}
	}
	return nil
}

// open starts the processes of all peers, some at a time.
func (p remotePlan) open(ctx context.Context) ([]*crew, error) {
	const atOnce = 6
	opt := peer.RemoteOptions{Objects: p.objects, Callers: slices.Max(p.callers), Payload: slices.Max(p.payloads), Short: p.short}
	crews := make([]*crew, len(p.peers))
	var group errgroup.Group // without a context of its own: the processes outlive it
	group.SetLimit(atOnce)
	for i, one := range p.peers {
		group.Go(func() error {
			var err error
			crews[i], err = openCrew(ctx, p.temp, one, opt)
			return err
		})
	}
	err := group.Wait()
	return slices.DeleteFunc(crews, func(c *crew) bool { return c == nil }), err
}

// machine says what the numbers were measured on, and how.
func (p remotePlan) machine(weight float64) []string {
	lines := []string{
		processor(),
		fmt.Sprintf("%s; medians of %d interleaved repetitions of %s; a process for the callers, one or more for the rest, on loopback; %d objects; spread is (max-min)/median",
			time.Now().Format(time.DateOnly), p.repetitions, p.duration, p.objects),
		fmt.Sprintf("CPU, allocs, B: of all processes of the peer, per call; %.0f of the allocs are the messages' own", weight),
	}
	if p.short {
		lines = append(lines, "SHORT RUN: the times mean nothing")
	}
	return append(lines, versions(func(path string) bool {
		return slices.ContainsFunc(p.peers, func(one peer.Remote) bool { return one.Module() == path })
	})...)
}
