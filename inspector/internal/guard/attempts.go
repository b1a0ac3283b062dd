package guard

import (
	"net/netip"
	"sync"
	"time"
)

// How wrong tokens are taken: so many at once from an address, then one in each pause. The last of many addresses count
// as one.
const (
	attemptBurst = 20
	attemptPause = 3 * time.Second
	maxAddresses = 10_000
)

// attempts counts the wrong tokens of each address. It only ever stands between a wrong token and being told that it is
// wrong: who has the right one is let in whatever others at the same address do, as behind the same proxy.
type attempts struct {
	mu    sync.Mutex
	spent map[netip.Prefix]time.Time // guarded by mu: until when what an address has tried is made up for
}

// wrong takes note of a wrong token, and says whether there were too many from that address.
func (a *attempts) wrong(remote string, now time.Time) (tooMany bool) {
	at := Neighbourhood(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.spent == nil {
		a.spent = make(map[netip.Prefix]time.Time)
	}
	if _, known := a.spent[at]; !known && len(a.spent) >= maxAddresses {
		a.forget(now)
		if len(a.spent) >= maxAddresses {
			at = netip.Prefix{}
		}
	}
	until := a.spent[at]
	if until.Before(now) {
		until = now
	}
	if until.Sub(now) > (attemptBurst-1)*attemptPause {
		return true
	}
	a.spent[at] = until.Add(attemptPause)
	return false
}

// forget forgets those who have nothing to make up for. a.mu is held.
func (a *attempts) forget(now time.Time) {
	for at, until := range a.spent {
		if !until.After(now) {
			delete(a.spent, at)
		}
	}
}

// Neighbourhood is what counts as one address: an IPv4 address, or the IPv6 addresses that one household has. remote is
// host:port; what is none is one address too, the zero one.
func Neighbourhood(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := at.Addr().Unmap().WithZone(""), 64
	if addr.Is4() || addr.IsLoopback() {
		bits = addr.BitLen()
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
