package model

import (
	"sync"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/util/clock"
)

// What is kept at most.
const (
	maxPoints    = 600
	maxEvents    = 10_000
	maxHeard     = 1000    // events in one message of a node
	eventBytes   = 8 << 20 // of all events together, about
	maxNodes     = 1000    // nodes at the same time, and incarnations of owners
	maxMethods   = 5000
	maxTypes     = 1000
	maxEdges     = 4000 // in a second, of an interest
	maxTurns     = 200
	maxPassages  = 100
	maxText      = 4096 // bytes of a text, and
	maxStack     = 16384
	maxInterests = 24 // each is a stream of every node's, which allows 64 in all
)

// How long things are kept.
const (
	keepGone  = time.Minute
	windowOf  = 10 // seconds of rates and graphs
	histogram = 60 // seconds of histograms, and of a focused object's edges

	methodPoints = 300 // seconds of each method's history
)

// Versions number the states of what streams tell: a greater number, something new.
type Versions struct {
	State  uint64 // what an Overview says beside its points
	Points uint64 // rev of the newest point
	Events uint64 // … event
	Nodes  uint64
	Shards uint64
	Types  uint64
	Graph  uint64

	newest uint64
}

// Newest is the newest number there is.
func (v Versions) Newest() uint64 { return v.newest }

// Model is what is known of a cluster. Its methods are safe for concurrent use.
type Model struct {
	clock clock.Clock

	mu      sync.Mutex // guards the fields below
	rev     uint64
	changed chan struct{} // closed and replaced at each change
	version Versions
	atTick  Versions                     // as the last tick left them
	ticked  time.Duration                // when the present second began
	seconds uint64                       // that have been
	began   [histogram + 1]time.Duration // when the last ones began, by their numbers
	pointed int64                        // the time of the last point

	trouble string // why there is no store; empty: there is
	view    cluster.View
	placed  bool
	since   int64    // … since when, Unix ms
	state   Overview // without points

	nodes   map[string]*node
	late    []late             // what nodes told of seconds that are still to begin
	waiting int                // bytes of these, about
	told    map[process]uint64 // the last event's number of each process: it may come as another incarnation
	methods map[methodKey]*method
	types   map[string]*typ
	past    [methodPoints]int64 // when the seconds of the methods' histories were; 0: nothing is known
	points  []Point
	events  []*Event // by time
	weight  int      // bytes that they take

	order  []string       // incarnations that own or owned shards, by index
	vacant []int          // indexes that others may have, while shards are placed
	index  map[string]int // … the other way round
	shards []placedShard
	anew   uint64                 // the rev at which all shards became others
	moves  int                    // owners changed, that are in no point yet
	moved  time.Duration          // when the last did
	hops   map[[2]string][]uint32 // … from whom to whom, which

	calls     *edges // between types
	interests map[Interest]*interest
	attended  attention
	sought    chan struct{} // closed when what nodes are to be asked may have changed
}

// New is a model that knows nothing.
func New(c clock.Clock) *Model {
	m := &Model{
		clock: c, changed: make(chan struct{}), nodes: make(map[string]*node),
		told:    make(map[process]uint64),
		methods: make(map[methodKey]*method), types: make(map[string]*typ),
		index: make(map[string]int), hops: make(map[[2]string][]uint32),
		calls: newEdges(windowOf), interests: make(map[Interest]*interest), sought: make(chan struct{}),
	}
	m.ticked = c.Monotonic()
	m.began[0] = m.ticked
	m.state = Overview{State: Waiting, Message: "Waiting for etcd.", Sampling: 1}
	return m
}

// Changed is closed at the next change of the model.
func (m *Model) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// Versions are those of this moment.
func (m *Model) Versions() Versions {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.version
	v.newest = m.rev
	return v
}

// next numbers a change and tells of it; m.mu is held.
func (m *Model) next() uint64 {
	m.rev++
	close(m.changed)
	m.changed = make(chan struct{})
	return m.rev
}

// now is the time in Unix milliseconds.
func (m *Model) now() int64 { return m.clock.Now().UnixMilli() }

// wall is a time that has been, or is, in Unix milliseconds.
func (m *Model) wall(then time.Duration) int64 {
	return m.now() - (m.clock.Monotonic() - then).Milliseconds()
}

// clip cuts a text from elsewhere.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 { // within a rune
		n--
	}
	return s[:n] + "…"
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }
