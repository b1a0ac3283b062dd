package grpc

import "encoding/binary"

// The names of methods and messages cross a connection once, and are numbers after that. A name in a payload is a
// uvarint: its number, or 0 and then the name as a string.
const (
	maxNames     = 1024
	maxNameBytes = 128
)

// vocabulary is the names that one side has said. A nil one says all names at length.
type vocabulary map[string]uint64

// learn appends the frames that give numbers to the names which have none, and says how many these are. Those that are
// too long or too many go on without.
func (v vocabulary) learn(b []byte, names ...string) (_ []byte, added int) {
	for _, name := range names {
		if _, known := v[name]; known || name == "" || len(name) > maxNameBytes || len(v) >= maxNames {
			continue
		}
		v[name] = uint64(len(v) + 1)
		start := len(b)
		b = endFrame(append(beginFrame(b, kindName), name...), start)
		added++
	}
	return b, added
}

// appendName appends a name.
func (v vocabulary) appendName(b []byte, name string) []byte {
	if number, known := v[name]; known {
		return binary.AppendUvarint(b, number)
	}
	return appendString(append(b, 0), name)
}

// names is the names that the other side has said. It belongs to the connection's reader.
type names []string

// learn takes in a name.
func (n *names) learn(name []byte) error {
	if len(*n) >= maxNames || len(name) == 0 || len(name) > maxNameBytes {
		return garbage("a name that is too long, or one too many")
	}
	*n = append(*n, string(name))
	return nil
}

// name reads a name.
func (c *cursor) name(known names) string {
	number := c.uvarint()
	switch {
	case number == 0:
		return c.string()
	case number > uint64(len(known)):
		c.fail()
		return ""
	}
	return known[number-1]
}
