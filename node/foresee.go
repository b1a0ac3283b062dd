package node

import "runtime"

// Foreseen is a call that is about to begin.
type Foreseen struct {
	ID      string   // of its object
	Arrival *Arrival // its own: [Arrival.Begin] comes next
}

// Foresee looks for the objects of calls that begin soon, one after the other, if they are in memory. Where there are
// many objects that memory is far from the processor, and this is most of what the call of one costs: here it comes
// from there for several calls at a time. An object that goes, or comes, before its call begins is looked for again.
func (n *Node) Foresee(calls []Foreseen) {
	for len(calls) > together {
		n.objects.foresee(calls[:together])
		calls = calls[together:]
	}
	n.objects.foresee(calls)
}

// together is how many activations are looked for at a time.
const together = 16

// foresee finds activations. It takes three steps, each with all of them, of which none waits for the memory of
// another: the place in the table, the activation there, and its ID.
func (d *directory) foresee(calls []Foreseen) {
	var seen [together]*activation
	var hashes [together]uint32
	for i := range calls {
		s, hash := d.of(calls[i].ID)
		if slots := s.slots.Load(); slots != nil {
			seen[i] = at32(*slots, hash).Load()
		}
		hashes[i] = hash
	}
	touched := byte(0)
	for _, a := range seen[:len(calls)] {
		if a != nil && len(a.id) > 0 {
			touched |= a.id[len(a.id)-1]
		}
	}
	runtime.KeepAlive(touched) // it was read
	for i := range calls {
		a := seen[i]
		for a != nil && (a.hash != hashes[i] || a.id != calls[i].ID) {
			a = a.next.Load()
		}
		calls[i].Arrival.seen = a
	}
}
