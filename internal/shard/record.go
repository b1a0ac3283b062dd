package shard

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// HashName is the hash of [Of], as members tell each other which one they use.
const HashName = "xxhash64"

// Format is the version of the records in the store that this package writes.
const Format = 1

// maxEpoch is the greatest epoch that is believed: whoever writes a greater one has
// gone wrong, and epochs must have room to grow.
const maxEpoch = math.MaxInt64 / 2

// ErrGarbage is the error of a record that cannot be what a member has written.
var ErrGarbage = errors.New("not a record of this cluster")

// Meta is what all members of a cluster agree on for ever.
type Meta struct {
	Shards int    `json:"shards"`
	Hash   string `json:"hash"`
	UUID   string `json:"uuid"` // of the cluster, made with it
	Format int    `json:"format"`
}

// NodeRecord is a member, under its lease.
type NodeRecord struct {
	Address     string `json:"address"` // where other members reach it
	Shards      int    `json:"shards"`
	Hash        string `json:"hash"`
	Weight      int    `json:"weight"` // its capacity relative to other members', at least 1
	MinProtocol int    `json:"min_protocol"`
	MaxProtocol int    `json:"max_protocol"`
	Cluster     string `json:"cluster"`            // the cluster's UUID
	Draining    bool   `json:"draining,omitempty"` // it is leaving: its shards shall go elsewhere
}

// Record says who owns a shard. The zero Record is that of a shard that never
// had an owner.
type Record struct {
	Owner    string `json:"owner"`     // incarnation
	OwnerRev int64  `json:"owner_rev"` // create revision of the owner's node key: another one is another member
	Epoch    uint64 `json:"epoch"`     // grows with every change of the owner
	// Target and TargetRev, if set, are to whom the owner shall hand the shard over.
	Target    string `json:"target,omitempty"`
	TargetRev int64  `json:"target_rev,omitempty"`
	// Handover is the revision of the record with the target that the former owner replaced by
	// this one after it had handed over; 0: the shard was taken over.
	Handover int64 `json:"handover,omitempty"`
	// Pinned: an operator put the shard where it is; balance leaves it there.
	Pinned bool `json:"pinned,omitempty"`
}

// NextEpoch is the epoch of the next owner: greater than the one before and not below
// the store's revision at some moment after that one was read. So it grows even where
// the record, or the store's history, was lost.
func NextEpoch(prev uint64, rev int64) uint64 {
	return max(prev+1, uint64(max(rev, 1)))
}

// Moving says whether the owner shall hand the shard over.
func (r Record) Moving() bool { return r.Target != "" }

// OwnedBy says whether the record names this member.
func (r Record) OwnedBy(incarnation string, rev int64) bool {
	return r.Owner == incarnation && r.OwnerRev == rev && incarnation != ""
}

// Transferred is the record by which the owner hands the shard to the target; rev is
// the revision of this one.
func (r Record) Transferred(rev int64) Record {
	return Record{
		Owner: r.Target, OwnerRev: r.TargetRev, Epoch: NextEpoch(r.Epoch, rev), Handover: rev, Pinned: r.Pinned,
	}
}

// Settled is the record of the same owner without a move.
func (r Record) Settled() Record {
	r.Target, r.TargetRev = "", 0
	return r
}

// MovingTo is the record by which the same owner is asked to hand over.
func (r Record) MovingTo(target string, rev int64, pinned bool) Record {
	r.Target, r.TargetRev, r.Pinned = target, rev, pinned
	return r
}

// Encode is the record as it is stored.
func (r Record) Encode() []byte { return encode(r) }

// Encode is the record as it is stored.
func (r NodeRecord) Encode() []byte { return encode(r) }

// Encode is the record as it is stored.
func (m Meta) Encode() []byte { return encode(m) }

// encode cannot fail: the records are strings, numbers and booleans.
func encode(record any) []byte {
	b, err := json.Marshal(record)
	if err != nil {
		return nil
	}
	return b
}

// DecodeShard reads what [Record.Encode] wrote. Anything else is ErrGarbage.
func DecodeShard(b []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("decode shard record: %w: %w", ErrGarbage, err)
	}
	switch {
	case r.Owner == "" || r.OwnerRev < 1:
		return Record{}, fmt.Errorf("decode shard record: %w: no owner", ErrGarbage)
	case r.Epoch < 1 || r.Epoch > maxEpoch:
		return Record{}, fmt.Errorf("decode shard record: %w: epoch %d", ErrGarbage, r.Epoch)
	case r.TargetRev < 0 || r.Moving() != (r.TargetRev > 0):
		return Record{}, fmt.Errorf("decode shard record: %w: target %q of revision %d", ErrGarbage, r.Target, r.TargetRev)
	case r.Handover < 0:
		return Record{}, fmt.Errorf("decode shard record: %w: hand-over %d", ErrGarbage, r.Handover)
	}
	return r, nil
}

// DecodeNode reads what [NodeRecord.Encode] wrote. Anything else is ErrGarbage.
func DecodeNode(b []byte) (NodeRecord, error) {
	var r NodeRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return NodeRecord{}, fmt.Errorf("decode node record: %w: %w", ErrGarbage, err)
	}
	if r.Weight < 1 || r.Address == "" {
		return NodeRecord{}, fmt.Errorf("decode node record: %w: address %q, weight %d", ErrGarbage, r.Address, r.Weight)
	}
	return r, nil
}

// DecodeMeta reads what [Meta.Encode] wrote. Anything else is ErrGarbage.
func DecodeMeta(b []byte) (Meta, error) {
	var m Meta
	if err := json.Unmarshal(b, &m); err != nil {
		return Meta{}, fmt.Errorf("decode cluster record: %w: %w", ErrGarbage, err)
	}
	if m.Shards < 1 || m.Hash == "" || m.UUID == "" || m.Format < 1 {
		return Meta{}, fmt.Errorf("decode cluster record: %w: %+v", ErrGarbage, m)
	}
	return m, nil
}

// ErrIncompatible is the error of a member that must not join, because it would look
// for objects where the others do not keep them, or belongs to another cluster.
var ErrIncompatible = errors.New("incompatible with the cluster")

// Agree says why a member that thinks of the cluster as mine must not join the one whose
// record is m, or nil. An empty UUID agrees with any.
func (m Meta) Agree(mine Meta) error {
	switch {
	case m.Format != mine.Format:
		return fmt.Errorf("%w: its records have format %d, this version's have %d", ErrIncompatible, m.Format, mine.Format)
	case m.Shards != mine.Shards:
		return fmt.Errorf("%w: it has %d shards, this member is set to %d", ErrIncompatible, m.Shards, mine.Shards)
	case m.Hash != mine.Hash:
		return fmt.Errorf("%w: it finds shards by %s, this member by %s", ErrIncompatible, m.Hash, mine.Hash)
	case mine.UUID != "" && m.UUID != mine.UUID:
		return fmt.Errorf("%w: it is cluster %s, this member belongs to %s", ErrIncompatible, m.UUID, mine.UUID)
	}
	return nil
}
