package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/xiaonanln/goverse/cluster"
)

// claim is a server's hold on its data directory. While it is held no other server uses
// the directory; whoever gets it knows that the server that had it before is dead, which
// is the proof that lets others take over that server's shards at once.
type claim struct {
	lock *os.File // locked; the system unlocks it when the process ends, however it ends
	name string   // of the file that says who the server is in its cluster
}

// errInUse is the error of a data directory that another process holds.
var errInUse = errors.New("another server uses it")

// claimDir takes hold of a data directory, which is made if it is not there.
func claimDir(dir string) (*claim, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("DataDir: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "node.lock"), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // G304: the operator names the directory
	if err != nil {
		return nil, fmt.Errorf("DataDir: %w", err)
	}
	if err := lockFile(lock); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("DataDir: lock %s: %w", lock.Name(), err)
	}
	return &claim{lock: lock, name: filepath.Join(dir, "incarnation")}, nil
}

// before is the incarnation that held the directory last; empty if none did.
func (c *claim) before() (string, error) {
	text, err := os.ReadFile(c.name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("DataDir: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// is records who holds the directory now. It must be on disk before that one joins.
func (c *claim) is(incarnation string) error {
	f, err := os.CreateTemp(filepath.Dir(c.name), "incarnation-")
	if err != nil {
		return fmt.Errorf("DataDir: %w", err)
	}
	_, err = f.WriteString(incarnation + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("DataDir: %w", err)
	}
	return nil
}

func (c *claim) release() error { return c.lock.Close() }

// succeed ends the membership of the server that this one comes after, whose death is
// certain, and takes its place in the data directory.
func (s *Server) succeed(ctx context.Context, member *cluster.Member, before string) error {
	if c := s.claim; c != nil {
		held, err := c.before()
		if err != nil {
			return err
		}
		if held != "" {
			before = held
		}
	}
	if before != "" {
		if err := member.Evict(ctx, before); err != nil { // it expires by itself
			s.cfg.Logger.WarnContext(ctx, "the server that ran before could not be signed off", "error", err.Error())
		}
	}
	if s.claim == nil {
		return nil
	}
	return s.claim.is(member.Incarnation())
}
