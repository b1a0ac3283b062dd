//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/record"
	"github.com/xiaonanln/goverse/internal/chaos/rig"
	"github.com/xiaonanln/goverse/internal/chaos/role"
	"github.com/xiaonanln/goverse/internal/chaos/workload"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
	"github.com/xiaonanln/goverse/util/clock"
)

// The fixed sizes of a run.
const (
	ttl         = 2 * time.Second
	hot         = 100
	callers     = 8 // on each node
	pause       = 20 * time.Millisecond
	callTimeout = 15 * time.Second
	baseline    = 2 * time.Second
	healLimit   = 3*ttl + 5*time.Second
	slowStart   = 30 * time.Second // for processes of a busy machine
	clusterName = "chaos"
	prefix      = "/goverse/" + clusterName + "/"
)

// world is the cluster under torment. Scenarios are its only user: one goroutine.
type world struct {
	dir      string
	shards   int
	clock    clock.Clock
	rng      *rand.Rand
	canaries []string
	ports    *rig.Ports
	mu       sync.Mutex // guards writing nodes, and reading it elsewhere
	etcd     []*rig.Etcd
	embedded string // the address of an embedded etcd, which there is instead
	nodes    []*rig.Node
	store    coord.Store
	scenario scenario
	observer *observer
	log      *os.File

	crashes  []crash
	silences []silence
	expect   []expectation
	windows  [][2]time.Duration // when everything was in order: from, until
	holds    [][2]time.Duration // when callers had to wait: from, until
	figures  []string
}

// crash is the death of a node, and what it had.
type crash struct {
	node   string
	at     time.Duration
	shards []uint32
	limit  time.Duration // by which each of them has answered
}

// silence is a time during which a node must not answer.
type silence struct {
	node        string
	from, until time.Duration
}

// expectation is which node ran a canary, according to the store.
type expectation struct {
	object string
	after  time.Duration
	until  time.Duration
	node   string
}

func newWorld(ctx context.Context, cfg Config, s scenario, seed uint64, dir string) (*world, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	w := &world{
		dir: dir, shards: cfg.Shards, clock: cfg.Clock, canaries: workload.Canaries(cfg.Shards), scenario: s,
		rng:   rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // G404: a plan that can be repeated
		ports: rig.NewPorts(os.Getpid() * 97),
	}
	if s.shards > 0 {
		w.shards, w.canaries = s.shards, workload.Canaries(s.shards)
	}
	var err error
	if w.log, err = os.Create(filepath.Join(dir, "faults.log")); err != nil {
		return nil, err
	}
	if err := w.startEtcd(ctx); err != nil {
		return w, err
	}
	for range s.nodes {
		if _, err := w.addNode(ctx, seed); err != nil {
			return w, err
		}
	}
	if !s.embedded {
		return w, errors.Join(w.meet(ctx), w.each(w.nodes, func(n *rig.Node) error { return w.start(ctx, n) }))
	}
	if err := w.start(ctx, w.nodes[0]); err != nil {
		return w, err
	}
	return w, errors.Join(w.meet(ctx), w.each(w.nodes[1:], func(n *rig.Node) error { return w.start(ctx, n) }))
}

// startEtcd starts three members; or finds a place for an embedded one.
func (w *world) startEtcd(ctx context.Context) (err error) {
	if w.scenario.embedded {
		w.embedded, err = w.ports.Free(ctx)
		return err
	}
	if w.etcd, err = rig.NewEtcd(ctx, 3, w.dir, w.ports); err != nil {
		return err
	}
	for _, e := range w.etcd {
		if err := e.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// meet waits until etcd serves, and watches it from then on.
func (w *world) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, slowStart)
	defer cancel()
	for {
		store, err := etcd.Open(ctx, etcd.Config{Endpoints: w.endpoints()})
		if err == nil {
			if _, _, err = store.Get(ctx, prefix); err == nil {
				w.store, w.observer = store, observe(ctx, store)
				return nil
			}
			err = errors.Join(err, store.Close())
		}
		if w.sleep(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

func (w *world) endpoints() []string {
	if w.embedded != "" {
		return []string{w.embedded}
	}
	var all []string
	for _, e := range w.etcd {
		all = append(all, e.Address())
	}
	return all
}

// addNode adds a node that has not started.
func (w *world) addNode(ctx context.Context, seed uint64) (*rig.Node, error) {
	name := fmt.Sprintf("n%d", len(w.nodes))
	pause := pause
	if w.scenario.planned { // more calls meet more moves
		pause /= 2
	}
	cfg := role.NodeConfig{
		Cluster: clusterName, Shards: w.shards, TTL: ttl, Drain: 20 * time.Second, Data: filepath.Join(w.dir, name+"-data"),
		Callers: callers, Pause: pause, Timeout: callTimeout, Hot: hot, Seed: seed + uint64(len(w.nodes)), Slow: w.scenario.slow,
	}
	etcd := w.endpoints()
	if w.embedded != "" {
		cfg.Etcd, etcd = []string{"embedded:" + w.embedded}, nil
	}
	n, err := rig.NewNode(ctx, name, w.dir, cfg, w.ports, etcd, func(c net.Conn) string { return rig.Caller(w.everybody(), c) })
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes = append(w.nodes, n)
	return n, nil
}

// everybody are all nodes, for the proxies, which do not run on the scenario's goroutine.
func (w *world) everybody() []*rig.Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.nodes)
}

func (w *world) start(ctx context.Context, n *rig.Node) error {
	w.note("start %s", n.Name)
	ctx, cancel := context.WithTimeout(ctx, slowStart)
	defer cancel()
	return n.Start(ctx)
}

// each does something to nodes at the same time.
func (w *world) each(nodes []*rig.Node, do func(*rig.Node) error) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = do(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// alive are the nodes whose processes run.
func (w *world) alive() []*rig.Node {
	var all []*rig.Node
	for _, n := range w.nodes {
		if n.Alive() {
			all = append(all, n)
		}
	}
	return all
}

// load starts or stops the load of nodes.
func (w *world) load(ctx context.Context, on bool, nodes ...*rig.Node) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+slowStart)
	defer cancel()
	return w.each(nodes, func(n *rig.Node) error {
		_, err := n.Do(ctx, role.Command{Load: &on})
		return err
	})
}

// note writes down what is done, and when.
func (w *world) note(format string, args ...any) {
	fmt.Fprintf(w.log, "%v %s\n", w.now(), fmt.Sprintf(format, args...))
}

// figure reports something that was measured.
func (w *world) figure(format string, args ...any) {
	w.figures = append(w.figures, fmt.Sprintf(format, args...))
}

// now is the clock of the records.
func (w *world) now() time.Duration {
	now, err := record.Now()
	if err != nil {
		return 0 // nothing was before that: the checks fail
	}
	return now
}

func (w *world) sleep(ctx context.Context, d time.Duration) error {
	timer := w.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close kills what runs.
func (w *world) close() error {
	var errs []error
	for _, n := range w.nodes {
		errs = append(errs, n.Close())
	}
	if w.observer != nil {
		w.observer.close()
	}
	if s, ok := w.store.(*etcd.Store); ok {
		errs = append(errs, s.Close())
	}
	for _, e := range w.etcd {
		errs = append(errs, e.Close())
	}
	return errors.Join(append(errs, w.log.Close())...)
}
