// Package cluster makes a process a member of a cluster: it joins under a lease, knows
// which member owns which shard, takes and hands over shards, and, on one member at a
// time, decides who owns what. The rules are package internal/shard's; this package
// drives them against a coordination store.
//
// What it promises, as long as the rates of the members' clocks differ by less than the
// margin of the lease (shard.Margin):
//   - At any moment at most one member that is [Member.Valid] has a shard open, and every
//     change of the owner has a greater epoch.
//   - A member that the store has not heard from for its TTL is invalid before anybody
//     else is given its shards, also if it stood still meanwhile and nothing in it ran.
//   - A planned move is written by the owner itself, after it has handed over. One whose
//     drain does not end in time is taken back. Nothing is forced.
//   - A write whose outcome is unknown is read again, never guessed.
//
// Keys, below /goverse/<name>/: meta (what all members agree on), nodes/<incarnation>
// (leased), allocator (leased; its create revision is the term), shards/<number> (never
// deleted), moves/<number> and drains/<incarnation> (operators' wishes).
//
// [Member.Run] owns all goroutines: it returns when they have ended. State is guarded by
// one mutex that is never held during I/O or a call of the host; routes are read without it.
package cluster
