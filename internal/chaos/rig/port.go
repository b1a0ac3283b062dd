//go:build linux

package rig

import (
	"context"
	"errors"
	"net"
	"strconv"
)

// Ports deals out loopback addresses below those that systems deal out by themselves, so
// that an address stays free while the process that has it is being restarted. It is
// used by one goroutine at a time.
type Ports struct{ next int }

// NewPorts begins somewhere that the seed says.
func NewPorts(seed int) *Ports { return &Ports{next: seed} }

// Free is an address that nobody listens on.
func (p *Ports) Free(ctx context.Context) (string, error) {
	for range 1000 {
		p.next++
		var listen net.ListenConfig
		l, err := listen.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+p.next%12_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String(), nil
		}
	}
	return "", errors.New("no port is free")
}
