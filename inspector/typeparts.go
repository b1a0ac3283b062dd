package inspector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/xiaonanln/goverse/inspector/internal/model"
)

// typeParts is what topic types tells, in pieces, so that a stream can leave out those that it has told. All streams
// share what was last made.
type typeParts struct {
	mu      sync.Mutex // guards the fields below, and is held while they are made
	seed    maphash.Seed
	version uint64
	made    typesMade
}

// typesMade is what was made of all types. It is not changed any more.
type typesMade struct {
	types    []typePart // nil: nothing could be made
	sampling uint32
}

// typePart is a type. What it says of itself is in JSON up to where its methods begin.
type typePart struct {
	name    string
	text    []byte
	sum     uint64
	methods []methodPart
}

// methodPart is a method in JSON.
type methodPart struct {
	name string
	text []byte
	sum  uint64
}

// typeEnd ends a type in JSON, after its methods.
const typeEnd = "]}"

// get is the parts of a version, or of a later one; none, if they cannot be made.
func (p *typeParts) get(version uint64, build func() model.Types) typesMade {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made.types != nil && p.version >= version {
		return p.made
	}
	if p.made.types == nil {
		p.seed = maphash.MakeSeed()
	}
	parts, all := []typePart{}, build()
	for _, t := range all.Types {
		part := typePart{name: t.Name}
		for _, m := range t.Methods {
			text, err := json.Marshal(m)
			if err != nil {
				return typesMade{}
			}
			part.methods = append(part.methods, methodPart{m.Name, text, maphash.Bytes(p.seed, text)})
		}
		t.Methods = []model.Method{}
		text, err := json.Marshal(t)
		if err != nil {
			return typesMade{}
		}
		part.text = bytes.TrimSuffix(text, []byte(typeEnd))
		part.sum = maphash.Bytes(p.seed, part.text)
		parts = append(parts, part)
	}
	p.version, p.made = version, typesMade{parts, all.Sampling}
	return p.made
}

// typesTold is what a stream has told of types: the sums of each type, under the empty name, and of its methods.
type typesTold map[string]map[string]uint64

// news is what there is to tell as JSON: all at first and where something is gone, else what has changed; nil: nothing.
func (told typesTold) news(made typesMade) []byte {
	parts := made.types
	if parts == nil {
		return nil
	}
	var out bytes.Buffer
	whole := !told.within(parts)
	if whole {
		clear(told)
		out.WriteString(`{"types":[`)
	} else {
		out.WriteString(`{"changed":[`)
	}
	some := false
	for _, t := range parts {
		if told.of(t, &out, some) {
			some = true
		}
	}
	fmt.Fprintf(&out, `],"sampling":%d}`, made.sampling)
	if !some && !whole {
		return nil
	}
	return out.Bytes()
}

// within says whether there was something told, and all of it is still there.
func (told typesTold) within(parts []typePart) bool {
	left := 0
	for _, t := range parts {
		sums := told[t.name]
		if sums == nil {
			continue
		}
		left++
		methods := 0
		for _, m := range t.methods {
			if _, there := sums[m.name]; there {
				methods++
			}
		}
		if methods < len(sums)-1 { // without the type itself
			return false
		}
	}
	return len(told) > 0 && left == len(told)
}

// of writes what is new of a type, after others if there are, and remembers it; false: nothing is.
func (told typesTold) of(t typePart, out *bytes.Buffer, after bool) bool {
	sums := told[t.name]
	if sums == nil {
		sums = make(map[string]uint64)
		told[t.name] = sums
	}
	before, there := sums[""]
	changed := !there || before != t.sum
	sums[""] = t.sum
	begun := false
	begin := func() {
		if after {
			out.WriteByte(',')
		}
		out.Write(t.text)
		begun = true
	}
	if changed {
		begin()
	}
	first := true
	for _, m := range t.methods {
		if sum, there := sums[m.name]; there && sum == m.sum {
			continue
		}
		sums[m.name] = m.sum
		if !begun {
			begin()
		}
		if !first {
			out.WriteByte(',')
		}
		first = false
		out.Write(m.text)
	}
	if begun {
		out.WriteString(typeEnd)
	}
	return begun
}
