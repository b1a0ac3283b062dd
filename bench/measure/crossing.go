package measure

import "time"

// Crossing is one repetition of calls to another process.
type Crossing struct {
	Peer string
	// Payload went in every request and came back in every reply, in bytes.
	Payload int
	Callers int
	// Rate is how many calls a second were due, whatever became of those before; 0: each caller makes its next call when
	// the one before has been answered.
	Rate float64
	// Calls were answered in Wall, and Usage is that of all processes together.
	Calls int64
	Wall  time.Duration
	Usage Usage
	// P50, P99, P999 and Max are latencies, of a run of their own unless there is a Rate: then they count from the time
	// at which a call was due.
	P50, P99, P999, Max time.Duration
}
