package grpc

import (
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// a large call that is given up while it is encoded is not sent.
func TestACallThatIsGivenUpBeforeItIsQueued(t *testing.T) {
	t.Parallel()
	c := quiet(bounds{queue: 1 << 20, calls: 10})
	call := &transport.Call{Request: object.Request{ID: "Room-1", Body: make([]byte, alone)}}
	c.mu.Lock()
	w := c.standLocked()
	w.due = 1 // nearly at once
	c.setAlarmLocked(w.due)
	c.mu.Unlock()
	c.expire() // the timer's goroutine, while this one encodes
	if err := c.beginAlone(t.Context(), w, callHeader{number: w.number, limited: true}, call, call.Size()); err != nil {
		t.Logf("not sent: %v", err)
	}
	<-w.done
	o := w.end
	for range 2 {
		if len(c.queue) > 0 {
			for _, k := range kinds(t, c) {
				if k == kindCall {
					t.Errorf("the call was sent after it had ended: %v, executed=%v", o.why, o.executed)
				}
			}
		}
	}
}
