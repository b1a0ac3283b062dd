package etcd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/xiaonanln/goverse/internal/coord"
)

// release is a version of etcd: major, minor, patch.
type release [3]int

func (r release) String() string { return fmt.Sprintf("%d.%d.%d", r[0], r[1], r[2]) }

// oldest is the oldest release that may be used in the minor line of r; ok is false if any may be.
//
// Before them, a leader that has lost touch could confirm keepalives or revoke living leases (etcd #12528, #15247), a
// revoked lease could be renewed, and a member that had been paused could answer stale reads.
func oldest(r release) (least release, ok bool) {
	switch {
	case r[0] < 3 || r[0] == 3 && r[1] <= 4:
		return release{3, 4, 42}, true
	case r[0] == 3 && r[1] == 5:
		return release{3, 5, 28}, true
	case r[0] == 3 && r[1] == 6:
		return release{3, 6, 9}, true
	}
	return release{}, false
}

// checkVersion refuses a version with unsafe leases, and one that cannot be read.
func checkVersion(endpoint, version string) error {
	r, preview, err := parseVersion(version)
	if err != nil {
		return fmt.Errorf("%w: etcd endpoint %s reports a version that cannot be understood: %w", coord.ErrInvalid, endpoint, err)
	}
	least, ok := oldest(r)
	order := slices.Compare(r[:], least[:])
	if ok && (order < 0 || order == 0 && preview) {
		return fmt.Errorf("%w: etcd endpoint %s runs version %s, whose leases are not safe: at least %v is needed",
			coord.ErrInvalid, endpoint, version, least)
	}
	return nil
}

// parseVersion reads "3.6.9", "3.6.9-rc.0" and "3.6.9+git"; preview is true for the second.
func parseVersion(version string) (r release, preview bool, err error) {
	numbers, _, _ := strings.Cut(version, "+")
	numbers, _, preview = strings.Cut(numbers, "-")
	parts := strings.Split(numbers, ".")
	if len(parts) != len(r) {
		return r, false, fmt.Errorf("%q", version)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return r, false, fmt.Errorf("%q", version)
		}
		r[i] = int(n)
	}
	return r, preview, nil
}
