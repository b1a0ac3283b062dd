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
// machine: the kernel's table of sockets gives the inode, and a process's file descriptors
// say whose that is. 0: none of them.
func ownerOf(c net.Conn, pids []int) int {
	local, remote := tableForm(c.RemoteAddr()), tableForm(c.LocalAddr()) // as the other end sees it
	if local == nil || remote == nil {
		return 0
	}
	inode := inodeOf(local, remote)
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

// tableForm is an address as the kernel's table of sockets has it; nil if it is not IPv4.
func tableForm(address net.Addr) []byte {
	ap, err := netip.ParseAddrPort(address.String())
	if err != nil || !ap.Addr().Unmap().Is4() {
		return nil
	}
	ip := ap.Addr().Unmap().As4()
	b := binary.NativeEndian.AppendUint32(nil, binary.BigEndian.Uint32(ip[:])) // the table has words of the machine
	return fmt.Appendf(nil, "%s:%04X", strings.ToUpper(hex.EncodeToString(b)), ap.Port())
}

// inodeOf looks up a TCP socket by both its addresses: a port of its own it may share with
// connections to elsewhere, and with ones that have ended and only wait for late packets.
func inodeOf(local, remote []byte) string {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := bytes.Fields(lines.Bytes()); len(fields) > 9 && bytes.Equal(fields[1], local) && bytes.Equal(fields[2], remote) {
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
