package model

// The shapes of docs/inspector-api.md, which explains them. Durations are milliseconds,
// times Unix milliseconds, latencies microseconds.

// Point is one second.
type Point struct {
	T           int64    `json:"t"`
	Calls       float64  `json:"calls"`
	Errors      float64  `json:"errors"`
	P50         *float64 `json:"p50"`
	P95         *float64 `json:"p95"`
	P99         *float64 `json:"p99"`
	Objects     uint64   `json:"objects"`
	Clients     uint64   `json:"clients"`
	Activations float64  `json:"activations"`
	Pushes      float64  `json:"pushes"`
	Moves       int      `json:"moves"`
	Fenced      int      `json:"fenced"`
	Waiting     uint64   `json:"waiting"`
	Nodes       int      `json:"nodes"`

	Rev uint64 `json:"-"` // numbers points and events in one order
}

// The states of an Overview.
const (
	Waiting = "waiting"
	Live    = "live"
	Stale   = "stale"
)

// Overview is the cluster as a whole. History is absent where only the state is news.
type Overview struct {
	State     string   `json:"state"`
	Message   string   `json:"message"`
	Now       *Point   `json:"now"`
	History   *[]Point `json:"history,omitempty"`
	Sampling  uint32   `json:"sampling"`
	Allocator string   `json:"allocator"`
	Unowned   int      `json:"unowned"`
	Skew      float64  `json:"skew"`

	Unreachable int `json:"unreachable"` // members whose figures are not known, and left out
}

// Node is a node.
type Node struct {
	Incarnation   string   `json:"incarnation"`
	Address       string   `json:"address"`
	ClientAddress string   `json:"client_address"`
	Version       string   `json:"version"`
	GoVersion     string   `json:"go_version"`
	PID           int64    `json:"pid"`
	Started       int64    `json:"started"`
	State         string   `json:"state"`
	Error         string   `json:"error"`
	CPU           float64  `json:"cpu"`
	Processors    uint32   `json:"processors"`
	Heap          uint64   `json:"heap"`
	RSS           uint64   `json:"rss"`
	Goroutines    uint64   `json:"goroutines"`
	Objects       uint64   `json:"objects"`
	Clients       uint64   `json:"clients"`
	Shards        int      `json:"shards"`
	BusyShards    uint64   `json:"busy_shards"`
	Lease         string   `json:"lease"`
	ValidFor      float64  `json:"valid_for"`
	Allocator     bool     `json:"allocator"`
	Calls         float64  `json:"calls"`
	Errors        float64  `json:"errors"`
	P50           *float64 `json:"p50"`
	P95           *float64 `json:"p95"`
	P99           *float64 `json:"p99"`
	Waiting       uint64   `json:"waiting"`
	Activations   float64  `json:"activations"`
	Pushes        float64  `json:"pushes"`
	LostPushes    uint64   `json:"lost_pushes"`
	Weight        int      `json:"weight"`
	Drain         bool     `json:"drain"`    // an operator wants it empty
	Stopping      bool     `json:"stopping"` // its server is being stopped
	Seen          int64    `json:"seen"`
	SilentFor     float64  `json:"silent_for"`
	At            int64    `json:"at"` // of its last point
	Sampling      uint32   `json:"sampling"`

	History *[]NodePoint `json:"history,omitempty"`
}

// NodePoint is one second of a node.
type NodePoint struct {
	Point

	CPU        float64 `json:"cpu"`
	Heap       uint64  `json:"heap"`
	RSS        uint64  `json:"rss"`
	Goroutines uint64  `json:"goroutines"`
	Shards     int     `json:"shards"`
}

// MethodPoint is one second of a method.
type MethodPoint struct {
	T      int64    `json:"t"`
	Calls  float64  `json:"calls"`
	Errors float64  `json:"errors"`
	P99    *float64 `json:"p99"`
}

// MethodHistory is the last seconds of a method.
type MethodHistory struct {
	History []MethodPoint `json:"history"`
}

// Nodes is all nodes.
type Nodes struct {
	Nodes []Node `json:"nodes"`
}

// Shards is all shards: index of the owner or -1, epoch, phase, index of the target or -1.
type Shards struct {
	Count   int        `json:"count"`
	Nodes   []string   `json:"nodes"`
	Shards  [][4]int64 `json:"shards"`
	Skew    float64    `json:"skew"`
	Unowned int        `json:"unowned"`
	Moving  int        `json:"moving"`
}

// ShardChanges is the shards that changed, each with its number before what Shards says.
type ShardChanges struct {
	Changed [][5]int64 `json:"changed"`
	Nodes   []string   `json:"nodes"`
	Skew    float64    `json:"skew"`
}

// LastError is a method's last error.
type LastError struct {
	At      int64  `json:"at"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Stack   string `json:"stack"`
	Node    string `json:"node"`
}

// Method is a method.
type Method struct {
	Name        string     `json:"name"`
	Request     string     `json:"request"`
	Reply       string     `json:"reply"`
	Mode        string     `json:"mode"`
	Calls       float64    `json:"calls"`
	Errors      float64    `json:"errors"`
	P50         *float64   `json:"p50"`
	P95         *float64   `json:"p95"`
	P99         *float64   `json:"p99"`
	Running     uint64     `json:"running"`
	TotalCalls  uint64     `json:"total_calls"`
	TotalErrors uint64     `json:"total_errors"`
	Histogram   []uint64   `json:"histogram"`
	LastError   *LastError `json:"last_error"`
}

// Type is a type of objects.
type Type struct {
	Name    string   `json:"name"`
	Client  bool     `json:"client"`
	Objects uint64   `json:"objects"`
	Calls   float64  `json:"calls"`
	Errors  float64  `json:"errors"`
	Methods []Method `json:"methods"`
}

// Types is all types.
type Types struct {
	Types    []Type `json:"types"`
	Sampling uint32 `json:"sampling"`
}

// Edge is calls from one party to another.
type Edge struct {
	From   string  `json:"from"`
	To     string  `json:"to"`
	Calls  float64 `json:"calls"`
	Errors float64 `json:"errors"`
	Push   bool    `json:"push"`
	Mean   float64 `json:"mean"`
}

// GraphNode is a party.
type GraphNode struct {
	ID      string  `json:"id"`
	Type    string  `json:"type"`
	Kind    string  `json:"kind"`
	Objects uint64  `json:"objects"`
	Calls   float64 `json:"calls"`
}

// Graph is who calls whom.
type Graph struct {
	Level string      `json:"level"`
	Nodes []GraphNode `json:"nodes"`
	Edges []Edge      `json:"edges"`
	More  float64     `json:"more"`

	Sampling uint32   `json:"sampling"`
	Error    *Refusal `json:"error,omitempty"`
}

// Refusal is why something is not told.
type Refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Event is something that operators want to know.
type Event struct {
	Seq    uint64 `json:"seq"`
	At     int64  `json:"at"`
	Kind   string `json:"kind"`
	Level  string `json:"level"`
	Text   string `json:"text"`
	Node   string `json:"node"`
	Object string `json:"object"`
	Method string `json:"method"`
	Shard  int32  `json:"shard"`
	Stack  string `json:"stack"`
}

// Events is events, the newest last, and the Seq from which to go on.
type Events struct {
	Events []Event `json:"events"`
	Next   uint64  `json:"next"`
}

// Object is an object in memory.
type Object struct {
	ID      string  `json:"id"`
	Type    string  `json:"type"`
	Node    string  `json:"node"`
	Shard   int32   `json:"shard"`
	Epoch   uint64  `json:"epoch"`
	Phase   string  `json:"phase"`
	Running uint32  `json:"running"`
	Waiting uint32  `json:"waiting"`
	Calls   uint64  `json:"calls"`
	Time    float64 `json:"time"`
	Idle    float64 `json:"idle"`
	Age     float64 `json:"age"`
}

// Turn is a call as it runs.
type Turn struct {
	ID     string   `json:"id"`
	Method string   `json:"method"`
	Caller string   `json:"caller"`
	At     int64    `json:"at"`
	Waited float64  `json:"waited"`
	Ran    *float64 `json:"ran"`
	Code   string   `json:"code"`
	Waits  bool     `json:"waits,omitempty"` // it has not begun
}

// Passage is something in an object's life.
type Passage struct {
	At    int64  `json:"at"`
	Node  string `json:"node"`
	Epoch uint64 `json:"epoch"`
	What  string `json:"what"`
}

// Detail is one object.
type Detail struct {
	Known       bool      `json:"known"` // false: no node has said anything of it yet
	Object      *Object   `json:"object"`
	Shard       int32     `json:"shard"`
	Owner       string    `json:"owner"`
	Epoch       uint64    `json:"epoch"`
	IdleTimeout float64   `json:"idle_timeout"`
	Turns       []Turn    `json:"turns"`
	Callers     []Edge    `json:"callers"`
	Callees     []Edge    `json:"callees"`
	History     []Passage `json:"history"`
	Sampling    uint32    `json:"sampling"`
	Error       *Refusal  `json:"error,omitempty"`
}
