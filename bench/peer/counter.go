package peer

import (
	"errors"
	"strconv"

	"github.com/xiaonanln/goverse/bench/benchpb"
)

// Note is the payload of every request: 16 bytes.
const Note = "sixteen bytes in"

var errNote = errors.New("the request's note did not arrive")

// NewRequest returns a new request to add one. Every call of every peer allocates one.
func NewRequest() *benchpb.AddRequest {
	return &benchpb.AddRequest{Delta: 1, Note: Note}
}

// Counter is the state of every peer's object, and its work. It does not lock.
type Counter struct{ value int64 }

// Add adds the request's delta and answers with a new response. It fails when the payload is not whole.
func (c *Counter) Add(req *benchpb.AddRequest) (*benchpb.AddResponse, error) {
	if len(req.GetNote()) != len(Note) {
		return nil, errNote
	}
	c.value += req.GetDelta()
	return &benchpb.AddResponse{Value: c.value}, nil
}

// Names are the names of a target's objects.
type Names struct {
	prefix string
	kept   []string
}

// NewNames returns names that start with a prefix, made in advance unless the options ask for transient ones.
func NewNames(prefix string, opt Options) Names {
	n := Names{prefix: prefix}
	if opt.Transient {
		return n
	}
	kept := make([]string, opt.Objects)
	for i := range kept {
		kept[i] = n.At(i)
	}
	n.kept = kept
	return n
}

// At returns the name of an object: the prefix and at least seven digits.
func (n Names) At(object int) string {
	if n.kept != nil {
		return n.kept[object]
	}
	const width = 7
	buf := make([]byte, 0, len(n.prefix)+width)
	buf = append(buf, n.prefix...)
	digits := strconv.Itoa(object)
	for range max(0, width-len(digits)) {
		buf = append(buf, '0')
	}
	return string(append(buf, digits...))
}
