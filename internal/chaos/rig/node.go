//go:build linux

package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/xiaonanln/goverse/internal/chaos/role"
)

// Node is a server of the cluster, dead or alive. The network around it is its own: a
// proxy through which the others reach it, and one for each member of etcd through which
// it reaches that. One goroutine at a time starts and ends it; Do may be called by many.
type Node struct {
	Name string
	Etcd []*Proxy
	Peer *Proxy

	cfg role.NodeConfig
	dir string

	starts int

	mu      sync.Mutex // guards the fields below
	process *Process   // nil before the first start
	last    int
	waiting map[int]chan role.Answer
}

// NewNode is a node that has not started. Listen, Advertise and Etcd of the configuration
// are filled in, unless Etcd is "embedded:…". Caller names the node that a
// connection to this one comes from.
func NewNode(ctx context.Context, name, dir string, cfg role.NodeConfig, ports *Ports, etcd []string, caller func(net.Conn) string) (*Node, error) {
	n := &Node{Name: name, dir: dir, cfg: cfg, waiting: map[int]chan role.Answer{}}
	for _, target := range etcd {
		p, err := NewProxy(ctx, "127.0.0.1:0", target, nil)
		if err != nil {
			return nil, err
		}
		n.Etcd = append(n.Etcd, p)
		n.cfg.Etcd = append(n.cfg.Etcd, p.Addr())
	}
	listen, err := ports.Free(ctx)
	if err != nil {
		return nil, err
	}
	if n.Peer, err = NewProxy(ctx, "127.0.0.1:0", listen, caller); err != nil {
		return nil, err
	}
	n.cfg.Listen, n.cfg.Advertise = listen, n.Peer.Addr()
	return n, nil
}

// Address is where the other nodes reach it.
func (n *Node) Address() string { return n.cfg.Advertise }

// Files are what the node has recorded, one file for each start.
func (n *Node) Files() []string {
	files := make([]string, n.starts)
	for i := range files {
		files[i] = n.file(i+1, "jsonl")
	}
	return files
}

func (n *Node) file(start int, kind string) string {
	return filepath.Join(n.dir, fmt.Sprintf("%s-%d.%s", n.Name, start, kind))
}

// Start starts the node and waits until it is ready.
func (n *Node) Start(ctx context.Context) error {
	n.starts++
	cfg := n.cfg
	cfg.Seed += uint64(n.starts) << 32 //nolint:gosec // G115: a count
	p, err := Start(context.WithoutCancel(ctx), n.Name, "node", cfg, n.file(n.starts, "log"), n.file(n.starts, "jsonl"))
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	ready := n.expect(0)
	go n.listen(p)
	return n.await(ctx, p, 0, ready)
}

// listen hands answers to those who wait for them; it ends with the process.
func (n *Node) listen(p *Process) {
	for line := range p.Lines() {
		var a role.Answer
		if json.Unmarshal(line, &a) != nil {
			continue // who waits for the answer waits in vain, and says so
		}
		n.mu.Lock()
		if c := n.waiting[a.ID]; c != nil {
			delete(n.waiting, a.ID)
			c <- a
		}
		n.mu.Unlock()
	}
}

func (n *Node) expect(id int) chan role.Answer {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := make(chan role.Answer, 1)
	n.waiting[id] = c
	return c
}

func (n *Node) await(ctx context.Context, p *Process, id int, c chan role.Answer) error {
	_, err := n.receive(ctx, p, id, c)
	return err
}

func (n *Node) receive(ctx context.Context, p *Process, id int, c chan role.Answer) (role.Answer, error) {
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.waiting, id)
	}()
	select {
	case a := <-c:
		return a, nil
	case <-p.Ended():
		return role.Answer{}, fmt.Errorf("%s has ended (%w), see %s", n.Name, orExit(p.Err()), n.file(n.starts, "log"))
	case <-ctx.Done():
		return role.Answer{}, fmt.Errorf("wait for %s: %w", n.Name, context.Cause(ctx))
	}
}

// Do tells the node something and waits for its answer.
func (n *Node) Do(ctx context.Context, c role.Command) (role.Answer, error) {
	n.mu.Lock()
	n.last++
	c.ID = n.last
	n.mu.Unlock()
	p := n.running()
	answer := n.expect(c.ID)
	if err := p.Say(c); err != nil {
		return role.Answer{}, err
	}
	return n.receive(ctx, p, c.ID, answer)
}

// running is the last process that was started, nil if there was none.
func (n *Node) running() *Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// Alive says whether the process runs, or stands still.
func (n *Node) Alive() bool {
	p := n.running()
	if p == nil {
		return false
	}
	select {
	case <-p.Ended():
		return false
	default:
		return true
	}
}

// Caller is the name of the one of some nodes that has made a connection; "" if none has.
func Caller(nodes []*Node, c net.Conn) string {
	names, pids := map[int]string{}, []int(nil)
	for _, n := range nodes {
		if n.Alive() {
			pid := n.running().PID()
			names[pid], pids = n.Name, append(pids, pid)
		}
	}
	return names[ownerOf(c, pids)]
}

// Signal sends a signal to the process.
func (n *Node) Signal(s syscall.Signal) error { return n.running().Signal(s) }

// Kill kills the process, if it runs, and waits for its end.
func (n *Node) Kill() error {
	if p := n.running(); p != nil {
		return p.Kill()
	}
	return nil
}

// Stop asks the process to stop, and waits until it has.
func (n *Node) Stop(ctx context.Context) error {
	if err := n.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := n.running().Wait(ctx); err != nil {
		return fmt.Errorf("stop %s (see %s): %w", n.Name, n.file(n.starts, "log"), err)
	}
	return nil
}

// Isolate cuts the node off from etcd, or joins it again.
func (n *Node) Isolate(cut bool) {
	for _, p := range n.Etcd {
		p.Freeze(cut)
	}
}

// Close kills what runs and takes the network down.
func (n *Node) Close() error {
	err := n.Kill()
	for _, p := range n.Etcd {
		p.Close()
	}
	n.Peer.Close()
	return err
}
