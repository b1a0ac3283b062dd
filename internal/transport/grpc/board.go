package grpc

// board finds the calls that run by their numbers. A caller that has few calls under way numbers them so that the lower
// halves are small, see slot: those are places on the board. It is guarded by the connection's mutex.
type board struct {
	near []*served
	far  map[uint64]*served // those whose numbers are not small
}

// maxNear is how many places a board has at most.
const maxNear = 1 << 14

// add keeps a call; false if there is one of its number.
func (b *board) add(s *served) bool {
	if b.find(s.number) != nil {
		return false
	}
	if i := int(uint32(s.number)); i < maxNear { //nolint:gosec // G115: the lower half
		if i >= len(b.near) {
			b.near = append(b.near, make([]*served, i+1-len(b.near))...)
		}
		if b.near[i] == nil {
			b.near[i] = s
			return true
		}
	}
	if b.far == nil {
		b.far = map[uint64]*served{}
	}
	b.far[s.number] = s
	return true
}

// find returns the call of a number; nil for none.
func (b *board) find(number uint64) *served {
	if i := int(uint32(number)); i < len(b.near) { //nolint:gosec // G115: the lower half
		if s := b.near[i]; s != nil && s.number == number {
			return s
		}
	}
	return b.far[number]
}

// remove forgets a call.
func (b *board) remove(s *served) {
	if i := int(uint32(s.number)); i < len(b.near) && b.near[i] == s { //nolint:gosec // G115: the lower half
		b.near[i] = nil
		return
	}
	delete(b.far, s.number)
}
