package node

import (
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// sees notes that a turn has begun, where it is the focused object's. The lock is held.
func (o *Observation) sees(s *sample) {
	if s.object != o.aim.GetFocus() || len(o.turns) >= maxTurns || len(o.open) >= maxOpenTurns {
		return
	}
	o.open[s.id] = true
	o.turns = append(o.turns, s.told(s.began, nil))
}

// ends notes the end of a turn of the focused object: in the place of its beginning, where
// that is not yet told. An end is always told where its beginning was. The lock is held.
func (o *Observation) ends(s *sample) {
	if s.object != o.aim.GetFocus() {
		return
	}
	turn := s.told(s.ended, s.err)
	if !o.open[s.id] {
		if len(o.turns) < maxTurns {
			o.turns = append(o.turns, turn)
		}
		return
	}
	delete(o.open, s.id)
	for i, t := range o.turns {
		if t.GetId() == s.id {
			o.turns[i] = turn
			return
		}
	}
	o.turns = append(o.turns, turn)
}

// told puts a turn into words, as it is at a moment.
func (s *sample) told(now time.Duration, err error) *inspectmsg.Turn {
	t := &inspectmsg.Turn{
		Id: s.id, Method: s.method.name(), Caller: s.caller,
		ArrivedUs: s.lens.node.base.Add(s.arrived).UnixMicro(), WaitedNs: int64(now - s.arrived),
	}
	if s.runs {
		t.WaitedNs, t.RanNs = int64(s.began-s.arrived), int64(now-s.began)
	}
	if !s.over {
		t.RanNs = -1
	}
	if err != nil {
		t.Code = codeName(object.CodeOf(err))
	}
	return t
}

// asError is an error that may be none.
func asError(e *object.Error) error {
	if e == nil {
		return nil
	}
	return e
}
