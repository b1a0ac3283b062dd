package inspector

import "time"

// tabRate is how many bytes of a tab's heavy topics go out in a second, beside what each of them begins with: with the
// light topics it stays below 200 kB a second, whatever there is to tell.
const tabRate = 180_000

// heavy says whether a topic waits until what was told before is paid for. The others, of which little is to be told,
// and that soon, never wait, and nobody waits for them.
func heavy(topic string) bool { return topic != "overview" && topic != "events" }

// pace bounds what a tab is told. The zero value owes nothing.
type pace struct {
	paid time.Duration // until then what was told is paid for
}

// told notes that so many bytes were told.
func (p *pace) told(n int, now time.Duration) {
	p.paid = max(p.paid, now) + time.Duration(n)*time.Second/tabRate
}

// wait is how long to tell nothing more.
func (p *pace) wait(now time.Duration) time.Duration { return max(p.paid-now, 0) }
