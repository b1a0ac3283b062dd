package mem

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/xiaonanln/goverse/internal/coord"
)

// history is the map of keys with its past. It is plain data: the Store's mutex guards it.
type history struct {
	rev       int64                 // the present revision
	compacted int64                 // the oldest revision that can be read
	keys      []string              // every key of versions, in order
	versions  map[string][]coord.KV // oldest first; a deletion is a KV of version 0
	log       []coord.Event         // from revision compacted on, in order
}

func newHistory() history { return history{rev: 1, versions: map[string][]coord.KV{}} }

// copy is a history of its own. They share values, which nobody changes.
func (h *history) copy() history {
	c := *h
	c.keys, c.log, c.versions = slices.Clone(h.keys), slices.Clone(h.log), make(map[string][]coord.KV, len(h.versions))
	for key, versions := range h.versions {
		c.versions[key] = slices.Clone(versions)
	}
	return c
}

// at is the key as of rev, the zero KV if it did not exist then.
func (h *history) at(key string, rev int64) coord.KV {
	versions := h.versions[key]
	// The newest is almost always the one.
	for _, kv := range slices.Backward(versions) {
		if kv.ModRev > rev {
			continue
		}
		if kv.Version == 0 {
			return coord.KV{}
		}
		return kv
	}
	return coord.KV{}
}

// holds says whether all compares hold now.
func (h *history) holds(compares []coord.Compare) bool {
	for _, c := range compares {
		kv := h.at(c.Key, h.rev)
		var ok bool
		switch c.Target {
		case coord.TargetCreateRev:
			ok = kv.CreateRev == c.Rev
		case coord.TargetModRev:
			ok = kv.ModRev == c.Rev
		case coord.TargetValue:
			ok = kv.Exists() && bytes.Equal(kv.Value, c.Value)
		}
		if !ok {
			return false
		}
	}
	return true
}

// readable says why rev cannot be read.
func (h *history) readable(rev int64) error {
	if rev > h.rev {
		return fmt.Errorf("revision %d of %d: %w", rev, h.rev, coord.ErrFutureRev)
	}
	if rev < h.compacted {
		return fmt.Errorf("revision %d, oldest %d: %w", rev, h.compacted, coord.ErrCompacted)
	}
	return nil
}

// read is a page of the keys with a prefix.
func (h *history) read(prefix string, opts coord.RangeOptions) (coord.Page, error) {
	rev := opts.Rev
	if rev == 0 {
		rev = h.rev
	}
	if err := h.readable(rev); err != nil {
		return coord.Page{}, err
	}
	page := coord.Page{Rev: rev}
	for _, key := range h.keysFrom(max(prefix, opts.StartKey)) {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		kv := h.at(key, rev)
		if !kv.Exists() {
			continue
		}
		if opts.Limit > 0 && len(page.KVs) == opts.Limit {
			page.More = true
			break
		}
		page.KVs = append(page.KVs, clone(kv))
	}
	return page, nil
}

// keysFrom is every key not before first, those of the past included.
func (h *history) keysFrom(first string) []string {
	i, _ := slices.BinarySearch(h.keys, first)
	return h.keys[i:]
}

// maxBatch is about how many events a watch tells at once.
const maxBatch = 1000

// since is the events of a prefix from revision next on, whole revisions only, and the revision up to which they tell
// all: the present one unless there were too many. The events' values are the history's own.
func (h *history) since(prefix string, next int64) (events []coord.Event, upTo int64, err error) {
	if next < h.compacted {
		return nil, 0, fmt.Errorf("watch from revision %d, oldest %d: %w", next, h.compacted, coord.ErrCompacted)
	}
	i := sort.Search(len(h.log), func(i int) bool { return h.log[i].KV.ModRev >= next })
	for _, e := range h.log[i:] {
		if n := len(events); n >= maxBatch && events[n-1].KV.ModRev != e.KV.ModRev {
			return events, e.KV.ModRev - 1, nil
		}
		if strings.HasPrefix(e.KV.Key, prefix) {
			events = append(events, e)
		}
	}
	return events, h.rev, nil
}

// compact forgets what was before rev.
func (h *history) compact(rev int64) {
	h.compacted = rev
	h.keys = slices.DeleteFunc(h.keys, func(key string) bool {
		versions := h.versions[key]
		// Keep the version that was valid at rev, and all later ones.
		first := sort.Search(len(versions), func(i int) bool { return versions[i].ModRev > rev })
		if first > 0 && versions[first-1].Version != 0 {
			first--
		}
		if first == len(versions) {
			delete(h.versions, key)
			return true
		}
		h.versions[key] = slices.Clone(versions[first:])
		return false
	})
	i := sort.Search(len(h.log), func(i int) bool { return h.log[i].KV.ModRev >= rev })
	h.log = slices.Clone(h.log[i:])
}

// write is a revision in the making. It changes the history as it goes on: check everything before.
type write struct {
	h   *history
	rev int64
	any bool // something was changed
}

func (h *history) begin() *write { return &write{h: h, rev: h.rev + 1} }

// latest is the key with the changes of this write.
func (w *write) latest(key string) coord.KV { return w.h.at(key, w.rev) }

// keysWith is the keys that exist and begin with prefix.
func (w *write) keysWith(prefix string) []string {
	var keys []string
	for _, key := range w.h.keysFrom(prefix) {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		if w.latest(key).Exists() {
			keys = append(keys, key)
		}
	}
	return keys
}

func (w *write) put(key string, value []byte, lease coord.LeaseID) {
	kv := w.latest(key)
	if !kv.Exists() {
		kv = coord.KV{Key: key, CreateRev: w.rev}
	}
	kv.Value = bytes.Clone(value)
	kv.ModRev = w.rev
	kv.Version++
	kv.Lease = lease
	w.add(coord.Event{KV: kv})
}

func (w *write) delete(key string) {
	w.add(coord.Event{Deleted: true, KV: coord.KV{Key: key, ModRev: w.rev}})
}

func (w *write) add(e coord.Event) {
	key := e.KV.Key
	if _, ok := w.h.versions[key]; !ok {
		i, _ := slices.BinarySearch(w.h.keys, key)
		w.h.keys = slices.Insert(w.h.keys, i, key)
	}
	w.h.versions[key] = append(w.h.versions[key], e.KV)
	w.h.log = append(w.h.log, e)
	w.any = true
}

// end makes the write the present, and says whether it changed anything.
func (w *write) end() bool {
	if w.any {
		w.h.rev = w.rev
	}
	return w.any
}

// clone is a KV that shares nothing with the history.
func clone(kv coord.KV) coord.KV {
	kv.Value = bytes.Clone(kv.Value)
	return kv
}
