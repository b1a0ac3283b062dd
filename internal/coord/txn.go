package coord

import (
	"fmt"
	"strings"
)

// MaxOps is how many compares a transaction may have, and how many operations each of its branches (etcd's default).
const MaxOps = 128

// Txn is a transaction: Then if every compare of If holds, else Else. Each part may be empty; a transaction without
// compares takes Then. It reads and writes at one moment, and what it writes makes one revision, none if it writes
// nothing: deleting what is not there is nothing, putting the same value again is something.
type Txn struct {
	If   []Compare
	Then []Op
	Else []Op
}

// TxnResult is what a transaction did.
type TxnResult struct {
	Succeeded bool       // Then was taken
	Rev       int64      // the store's revision after the transaction: its own if it wrote
	Results   []OpResult // one for each operation of the branch taken
}

// OpResult is the result of one operation.
type OpResult struct {
	KV      KV    // of a get: the key, as the operations before it in the branch have left it
	Deleted int64 // of a deletion: how many keys
}

// Target is the part of a key that a [Compare] looks at.
type Target int

// The targets.
const (
	TargetCreateRev Target = iota + 1
	TargetModRev
	TargetValue
)

// Compare is a condition: that a part of a key is equal to something.
type Compare struct {
	Target Target
	Key    string
	Rev    int64  // for TargetCreateRev and TargetModRev; a key that does not exist has 0
	Value  []byte // for TargetValue; a key that does not exist is equal to no value, not even to an empty one
}

// CreateRev holds if key came into being at rev; 0: if it does not exist.
func CreateRev(key string, rev int64) Compare {
	return Compare{Target: TargetCreateRev, Key: key, Rev: rev}
}

// ModRev holds if key was last put at rev; 0: if it does not exist.
func ModRev(key string, rev int64) Compare {
	return Compare{Target: TargetModRev, Key: key, Rev: rev}
}

// Value holds if key exists and has this value.
func Value(key string, value []byte) Compare {
	return Compare{Target: TargetValue, Key: key, Value: value}
}

// Absent holds if key does not exist.
func Absent(key string) Compare { return CreateRev(key, 0) }

// OpKind says what an [Op] does.
type OpKind int

// The kinds of operations.
const (
	OpPut OpKind = iota + 1
	OpGet
	OpDelete
	OpDeletePrefix
)

// Op is an operation of a transaction.
type Op struct {
	Kind  OpKind
	Key   string // of OpDeletePrefix: the prefix
	Value []byte // of OpPut
	Lease LeaseID
}

// Put sets key to value and detaches it from any lease.
func Put(key string, value []byte) Op { return Op{Kind: OpPut, Key: key, Value: value} }

// PutLeased sets key to value and attaches it to lease, and to no other.
func PutLeased(key string, value []byte, lease LeaseID) Op {
	return Op{Kind: OpPut, Key: key, Value: value, Lease: lease}
}

// Get reads key.
func Get(key string) Op { return Op{Kind: OpGet, Key: key} }

// Delete deletes key.
func Delete(key string) Op { return Op{Kind: OpDelete, Key: key} }

// DeletePrefix deletes all keys that begin with prefix, which must not be empty.
func DeletePrefix(prefix string) Op { return Op{Kind: OpDeletePrefix, Key: prefix} }

// Validate says why a store must refuse the transaction whatever it holds: ErrTooManyOps, ErrInvalid or
// ErrDuplicateKey, the last two in either branch, taken or not. Implementations call it first.
func (t Txn) Validate() error {
	if n := max(len(t.If), len(t.Then), len(t.Else)); n > MaxOps {
		return fmt.Errorf("%w: %d, at most %d", ErrTooManyOps, n, MaxOps)
	}
	for _, c := range t.If {
		if err := c.validate(); err != nil {
			return err
		}
	}
	if err := validateBranch(t.Then); err != nil {
		return err
	}
	return validateBranch(t.Else)
}

func (c Compare) validate() error {
	if c.Key == "" {
		return fmt.Errorf("%w: compare of an empty key", ErrInvalid)
	}
	if c.Target < TargetCreateRev || c.Target > TargetValue {
		return fmt.Errorf("%w: compare of key %q with target %d", ErrInvalid, c.Key, c.Target)
	}
	return nil
}

func (op Op) validate() error {
	if op.Key == "" {
		return fmt.Errorf("%w: operation on an empty key", ErrInvalid)
	}
	if op.Kind < OpPut || op.Kind > OpDeletePrefix {
		return fmt.Errorf("%w: operation %d on key %q", ErrInvalid, op.Kind, op.Key)
	}
	return nil
}

// deletes says whether the operation deletes key, if it is there.
func (op Op) deletes(key string) bool {
	return op.Kind == OpDelete && op.Key == key || op.Kind == OpDeletePrefix && strings.HasPrefix(key, op.Key)
}

// validateBranch refuses what would write a key twice. Deleting twice is allowed: the second finds nothing.
func validateBranch(ops []Op) error {
	puts := make(map[string]struct{}, len(ops))
	var deletions []Op
	for _, op := range ops {
		if err := op.validate(); err != nil {
			return err
		}
		switch op.Kind {
		case OpPut:
			if _, ok := puts[op.Key]; ok {
				return fmt.Errorf("%w: %q is put twice", ErrDuplicateKey, op.Key)
			}
			puts[op.Key] = struct{}{}
		case OpDelete, OpDeletePrefix:
			deletions = append(deletions, op)
		case OpGet:
		}
	}
	for _, op := range deletions {
		for key := range puts {
			if op.deletes(key) {
				return fmt.Errorf("%w: %q is put and deleted", ErrDuplicateKey, key)
			}
		}
	}
	return nil
}
