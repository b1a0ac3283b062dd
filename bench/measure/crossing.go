package measure

import "time"

// Crossing is one repetition of calls to another process.
type Crossing struct {
	Peer string
	// Payload went in every request and came back in every reply, in bytes.
	Payload int
	Callers int
	// Pace says how the calls were due: empty where each caller made its next call when the one before had been answered,
	// otherwise at Rate calls a second, whatever became of those before.
	Pace string
	Rate float64
	// Calls were answered in Wall, and Usage is that of all processes together.
	Calls int64
	Wall  time.Duration
	Usage Usage
	// P50, P99, P999 and Max are latencies, of a run of their own unless there is a Rate: then they count from the time
	// at which a call was due. Late is then how late 99 % of the calls were handed out, at most.
	P50, P99, P999, Max time.Duration
	Late                time.Duration
}
