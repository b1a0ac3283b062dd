//go:build linux

package rig

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// ownerOf finds out which of some processes has the other end of a connection on this
// machine, by its local address there: the kernel's table of sockets gives the inode, and
// a process's file descriptors say whose that is. 0: none of them.
func ownerOf(address net.Addr, pids []int) int {
	ap, err := netip.ParseAddrPort(address.String())
	if err != nil || !ap.Addr().Unmap().Is4() {
		return 0
	}
	inode := inodeOf(ap)
	if inode == "" {
		return 0
	}
	for _, pid := range pids {
		if hasSocket(pid, inode) {
			return pid
		}
	}
	return 0
}

// inodeOf looks up a TCP socket by its local address.
func inodeOf(ap netip.AddrPort) string {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer f.Close()
	ip := ap.Addr().Unmap().As4()
	b := binary.NativeEndian.AppendUint32(nil, binary.BigEndian.Uint32(ip[:])) // the table has words of the machine
	local := []byte(fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(b)), ap.Port()))
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := bytes.Fields(lines.Bytes()); len(fields) > 9 && bytes.Equal(fields[1], local) {
			return string(fields[9])
		}
	}
	return ""
}

// hasSocket says whether a process has a socket open.
func hasSocket(pid int, inode string) bool {
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
