package server

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// placeOf says which file a lock is, or why locks prove nothing there.
func placeOf(lock *os.File) (place, error) {
	var file unix.Stat_t
	var system unix.Statfs_t
	if err := errors.Join(unix.Fstat(int(lock.Fd()), &file), unix.Fstatfs(int(lock.Fd()), &system)); err != nil {
		return place{}, fmt.Errorf("look at %s: %w", lock.Name(), err)
	}
	if magic := uint32(system.Type); networked(magic) { //nolint:gosec // G115: it has 32 bits, whatever the field has
		return place{}, fmt.Errorf("its file system (type %#x) may grant a lock to two servers", magic)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return place{}, fmt.Errorf("read the machine's boot: %w", err)
	}
	return place{Boot: strings.TrimSpace(string(boot)), Lock: fmt.Sprintf("%x:%d", file.Dev, file.Ino)}, nil
}

// networked says whether files of a file system, by the number that statfs gives it, may
// be another machine's, or whatever a program makes of them: their locks need not exclude.
func networked(magic uint32) bool {
	switch magic {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC, unix.OCFS2_SUPER_MAGIC:
		return true
	}
	return false
}
