package shard

// Defaults of Limits.
const (
	// DefaultInFlightPart is the part of all shards that may move at a time: a tenth
	// (Pekko's rebalance-relative-limit).
	DefaultInFlightPart = 10
	// DefaultPerPair is the number of shards that may move from one node to another
	// at a time.
	DefaultPerPair = 64
	// DefaultSlack is the hysteresis of balancing, as a fraction of a node's share.
	DefaultSlack = 0.04
)

// MaxWeight is the greatest weight of a node; a greater one is taken for it.
const MaxWeight = 1_000_000

// Node is a member of the cluster as the planner sees it. IDs are unique and not
// empty.
type Node struct {
	ID string
	// Weight is the node's capacity in relation to the others', 1 to MaxWeight. Less
	// than 1 is taken for 1.
	Weight int
	// Accepts says that the node may be given shards. A node that neither accepts nor
	// drains (suspect, or in the grace after its join) keeps what it has.
	Accepts bool
	// Drains says that everything the node has shall go. It then accepts nothing,
	// whatever Accepts says.
	Drains bool
}

// Holding says who has a shard.
type Holding struct {
	// Owner is the ID of the node that has the shard. Empty, or none of the nodes:
	// nobody has it (never assigned, or its owner is dead).
	Owner string
	// Target, unless empty, is the node to which a planned move is under way. To abort
	// a move whose target is gone, or should no longer get it, is the caller's
	// decision; until then the move is under way.
	Target string
	// Pinned says that an operator put the shard there (or is moving it there).
	// Balancing leaves it; death and drain do not, and end the pin: the caller does not
	// keep it in what it writes for a Change.
	Pinned bool
	// Waits says that no planned move of the shard shall begin now, because its last
	// one was aborted and its back-off runs. The owner's death ends the wait.
	Waits bool
}

// Limits bound what moves at a time. Zero means default, negative means no limit.
type Limits struct {
	// InFlight is how many planned moves may be under way at a time, whoever began
	// them. Default: a tenth of the shards, at least 1.
	InFlight int
	// PerPair is how many of them may go from one node to one other. Default: 64.
	PerPair int
	// Slack is the hysteresis, as a fraction of a node's share: balancing begins when a
	// node is further than this from its share, and then goes on, as long as a move of
	// it is under way, until no node is a whole shard away. Default: 0.04. Negative:
	// balancing begins at one shard.
	Slack float64
}

// Change is one step of a plan.
type Change struct {
	// Shard is the index of the shard in the holdings.
	Shard int
	// From is the owner that shall hand the shard over in a planned move. Empty: the
	// shard has no owner, and To shall take it over at once.
	From string
	// To is the node that gets the shard. It accepts, and is not From.
	To string
}

// Plan says what shall be done next to bring the shards to where they belong. It is a
// pure function: the same nodes in any order, holdings and limits give the same changes.
// A leader calls it whenever something changed, writes what it can of the result, and
// calls it again; moves under way count as if they were done, so that they are neither
// repeated nor undone. No node that accepts: no changes.
//
//  1. A shard without an owner is taken over at once, whatever the limits.
//  2. The shards of draining nodes move, within the limits.
//  3. What is left of the limits goes to balancing: from nodes with more than their share
//     to nodes with less, until each has its share (of all shards but those on nodes
//     that keep what they have, by weight), rounded down or up, or what is pinned to it
//     if that is more. No sequence of moves does it with fewer.
//
// The changes are in this order, and by shard within each kind. Every shard goes to the
// node that then has the least for its weight, among those below their share; ties go to
// the lesser ID.
func Plan(nodes []Node, holdings []Holding, limits Limits) []Change {
	p := planner{holdings: holdings, limits: limits.withDefaults(len(holdings))}
	p.seatNodes(nodes)
	if p.weight == 0 {
		return nil
	}
	p.count()
	p.setGoals()
	p.expect()
	p.lineUp()
	p.takeOver()
	p.drain()
	if p.uneven() {
		p.balance()
	}
	return p.changes
}

func (l Limits) withDefaults(shards int) Limits {
	unlimited := shards + 1
	switch {
	case l.InFlight == 0:
		l.InFlight = max(1, shards/DefaultInFlightPart)
	case l.InFlight < 0:
		l.InFlight = unlimited
	}
	switch {
	case l.PerPair == 0:
		l.PerPair = DefaultPerPair
	case l.PerPair < 0:
		l.PerPair = unlimited
	}
	if l.Slack == 0 {
		l.Slack = DefaultSlack
	}
	return l
}
