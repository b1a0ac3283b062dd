package grpc

const (
	// large is how large a frame must be to travel in parts.
	large = 64 << 10
	// partBytes is how much of it a message carries.
	partBytes = 32 << 10
)

// lane is the large frames of one side of a connection, and what must not overtake them. They travel in parts, each
// beside a message of others: a large frame takes as long as its bytes do, and holds up nobody. It is guarded by the
// connection's mutex.
type lane struct {
	frames []*bulk
	held   map[string]int // how many there are of an object's
	bytes  int            // of the frames, what has left of the first included
	made   uint64         // how many have been added
	gone   uint64         // how many have left
	waits  bool           // the last message was no part
}

// bulk is a frame in the lane.
type bulk struct {
	frame  []byte
	left   int    // bytes that have left
	object string // whose later calls must not overtake it; empty: nobody's
	after  uint64 // the last segment before it, which it must not overtake
}

// holds says whether a call of an object would overtake one in the lane.
func (l *lane) holds(object string) bool { return l.held[object] > 0 }

// add queues a frame behind what has been queued in segments.
func (l *lane) add(frame []byte, object string, after uint64) *bulk {
	b := &bulk{frame: frame, object: object, after: after}
	l.made++
	l.frames = append(l.frames, b)
	l.bytes += len(frame)
	if object != "" {
		if l.held == nil {
			l.held = make(map[string]int)
		}
		l.held[object]++
	}
	return b
}

// release forgets that a frame is in the way of its object's calls.
func (l *lane) release(b *bulk) {
	if b.object == "" {
		return
	}
	if l.held[b.object]--; l.held[b.object] <= 0 {
		delete(l.held, b.object)
	}
	b.object = ""
}

// withdraw takes out a frame of which nothing has left.
func (l *lane) withdraw(b *bulk) {
	l.bytes -= len(b.frame)
	l.release(b)
	b.frame = endFrame(beginFrame(nil, kindVoid), 0)
	l.bytes += len(b.frame)
}

// part appends the next part, and the small frames behind it if it was the last of its own. It says whether any frame has
// left.
func (l *lane) part(buffer []byte, handed uint64) (_ []byte, gone bool) {
	b := l.frames[0]
	end := min(b.left+partBytes, len(b.frame))
	k := kindPart
	if end == len(b.frame) {
		k = kindLast
	}
	start := len(buffer)
	buffer = endFrame(append(beginFrame(buffer, k), b.frame[b.left:end]...), start)
	b.left = end
	if k == kindPart {
		return buffer, false
	}
	l.leaves(b)
	for len(l.frames) > 0 {
		b = l.frames[0]
		if len(buffer)+len(b.frame) > partBytes || b.after > handed {
			break
		}
		buffer = append(buffer, b.frame...)
		b.left = len(b.frame)
		l.leaves(b)
	}
	return buffer, true
}

// leaves takes out the first frame, all of which has left.
func (l *lane) leaves(b *bulk) {
	l.gone++
	l.bytes -= len(b.frame)
	l.release(b)
	l.frames[0] = nil
	if l.frames = l.frames[1:]; len(l.frames) == 0 {
		l.frames = nil
	}
}
