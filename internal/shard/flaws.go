package shard

// Flaws are guards that the rules leave out. They are here to prove that each guard is
// needed: a model, a simulation or a chaos run that leaves one out must fail. The zero
// value leaves out none, and is what every member runs with.
type Flaws struct {
	// UnfenceUnread: a renewal alone ends a fence; node and shard records are not read again.
	UnfenceUnread bool
	// DeadlineFromReceipt: a lease counts from when its renewal was answered, not asked for.
	DeadlineFromReceipt bool
	// ForcedDrain: a drain that did not end in time is taken for ended.
	ForcedDrain bool
	// NoTerm: the allocator's writes do not compare its term.
	NoTerm bool
	// NoCompare: writes do not compare the revision of the record that they replace.
	NoCompare bool
	// SameEpoch: a change of owners keeps the epoch.
	SameEpoch bool
	// TakeOlder: a record is believed though a newer one was seen.
	TakeOlder bool
	// TransferGuess: a transfer whose outcome is unknown is taken for not written.
	TransferGuess bool
	// NoLiveness: a failover does not compare that the old owner is gone.
	NoLiveness bool
	// ResumeCompacted: a watch whose history was compacted away goes on after the gap.
	ResumeCompacted bool
	// IgnoreRequestEpoch: who owns a shard runs calls that name a greater epoch than its own.
	IgnoreRequestEpoch bool
	// AnswerClients: clients' calls begin and are answered without a valid lease.
	AnswerClients bool
}
