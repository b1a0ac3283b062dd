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
	bytes  int    // of the frames, what has left of the first included
	made   uint64 // how many have been added
	gone   uint64 // how many have left
	waits  bool   // the last message was no part
}

// bulk is a frame in the lane.
type bulk struct {
	frame  []byte
	left   int    // bytes that have left
	object string // whose later calls must not overtake it; empty: nobody's
	after  uint64 // the last segment before it, which it must not overtake
}

// holds says whether a call of an object would overtake one in the lane.
func (l *lane) holds(object string) bool {
	for _, b := range l.frames {
		if b.object == object {
			return true
		}
	}
	return false
}

// add queues a frame behind what has been queued in segments.
func (l *lane) add(frame []byte, object string, after uint64) *bulk {
	b := &bulk{frame: frame, object: object, after: after}
	l.made++
	l.frames = append(l.frames, b)
	l.bytes += len(frame)
	return b
}

// withdraw takes out a frame of which nothing has left.
func (l *lane) withdraw(b *bulk) {
	l.bytes -= len(b.frame)
	b.frame, b.object = endFrame(beginFrame(nil, kindVoid), 0), ""
	l.bytes += len(b.frame)
}

// part appends the next part, and says whether it was the last of its frame.
func (l *lane) part(buffer []byte) (_ []byte, last bool) {
	b := l.frames[0]
	end := min(b.left+partBytes, len(b.frame))
	k := kindPart
	if last = end == len(b.frame); last {
		k = kindLast
	}
	start := len(buffer)
	buffer = endFrame(append(beginFrame(buffer, k), b.frame[b.left:end]...), start)
	b.left = end
	if last {
		l.gone++
		l.bytes -= len(b.frame)
		l.frames[0] = nil
		if l.frames = l.frames[1:]; len(l.frames) == 0 {
			l.frames = nil
		}
	}
	return buffer, last
}
