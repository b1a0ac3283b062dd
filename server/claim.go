package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/xiaonanln/goverse/cluster"
)

// claim is a server's hold on its data directory. While it is held no other server uses
// the directory. Whoever gets it may know that the server that had it before is dead, which
// is the proof that lets others take over that server's shards at once: see [claim.proof].
// After the start only the membership service uses it.
type claim struct {
	lock *os.File // locked; the system unlocks it when the process ends, however it ends
	name string   // of the file that says who the server is in its cluster
	last tenant   // what that file says
}

// tenant is who holds a data directory. It is kept there.
type tenant struct {
	Incarnation string `json:"incarnation"`
	Cluster     string `json:"cluster,omitempty"` // the UUID of the cluster, once joined
	Place       place  `json:"place,omitzero"`    // where the lock was held; zero: locks prove nothing there
}

// place is a lock file, of all there are: a copy is another one, and so is the same file
// seen by another machine, or by the same one after it has started anew.
type place struct {
	Boot string `json:"boot"` // the machine's boot
	Lock string `json:"lock"` // the file's device and number
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
	c := &claim{lock: lock, name: filepath.Join(dir, "incarnation")}
	if c.last, err = c.read(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("DataDir: %w", err)
	}
	return c, nil
}

// read says who held the directory last; the zero tenant if nobody did.
func (c *claim) read() (last tenant, err error) {
	text, err := os.ReadFile(c.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return last, nil
	case err != nil:
		return last, err
	case !strings.HasPrefix(string(text), "{"): // a version that kept the name alone
		return tenant{Incarnation: strings.TrimSpace(string(text))}, nil
	}
	if err := json.Unmarshal(text, &last); err != nil {
		return last, fmt.Errorf("read %s: %w", c.name, err)
	}
	return last, nil
}

// proof says why holding the lock does not prove that who held the directory last is
// dead; nil: it does. It does where both held the same lock, and one after the other: the
// file of the same device and number, during the same boot of the same machine. A directory
// that was copied, with a living server's name in it, or is mounted in two places, does not.
func (c *claim) proof() error {
	here, err := placeOf(c.lock)
	switch last := c.last.Place; {
	case err != nil:
		return err
	case last == place{}:
		return errors.New("it was held where locks prove nothing")
	case last.Boot != here.Boot:
		return errors.New("the machine has started anew, or is another one")
	case last.Lock != here.Lock:
		return errors.New("its lock is another file: it was copied, or is mounted elsewhere")
	}
	return nil
}

// is records who holds the directory now. It must be on disk before that one joins.
func (c *claim) is(incarnation, uuid string) error {
	now := tenant{Incarnation: incarnation, Cluster: uuid}
	if here, err := placeOf(c.lock); err == nil {
		now.Place = here
	}
	text, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("DataDir: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(c.name), "incarnation-")
	if err != nil {
		return fmt.Errorf("DataDir: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("DataDir: %w", err)
	}
	c.last = now
	return nil
}

func (c *claim) release() error { return c.lock.Close() }

// succeed ends the membership of the server that this one comes after, if its death is
// certain, and takes its place in the data directory. before is what this very process
// was, and has ended to be.
func (s *Server) succeed(ctx context.Context, member *cluster.Member, before string) error {
	if s.claim != nil && before == "" {
		before = s.claim.last.Incarnation
		if why := s.claim.proof(); before != "" && why != nil {
			s.cfg.Logger.InfoContext(ctx, "the data directory does not prove that the server that used it is dead: if it had shards, they are taken over when its lease ends",
				"incarnation", before, "why", why.Error())
			before = ""
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
	return s.claim.is(member.Incarnation(), s.claim.last.Cluster)
}

// belong keeps the identity of the cluster that the server has joined: another one under
// the same name is refused from now on.
func (s *Server) belong(ctx context.Context, member *cluster.Member) {
	if s.claim == nil {
		return
	}
	if err := s.claim.is(member.Incarnation(), member.State().Cluster); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "the cluster's identity could not be kept", "error", err.Error())
	}
}

// uuid is the cluster that the server belongs to; empty: it has not been in one.
func (s *Server) uuid(p *parts) string {
	if s.claim != nil {
		return s.claim.last.Cluster
	}
	if m := p.member.Load(); m != nil {
		return m.State().Cluster
	}
	return ""
}
