package server_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/server"
	"github.com/xiaonanln/goverse/util/clock"
)

// with is a data directory, and a lease that does not end while a test runs.
func with(dir string) setting {
	return func(c *server.Config) { c.DataDir, c.LeaseTTL = dir, time.Hour }
}

func TestDataDirectoryIsForOneServer(t *testing.T) {
	t.Parallel()
	c, dir := &company{t, &server.Coordinators{}}, t.TempDir()
	c.join(with(dir))
	second := create(t, with(dir))
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "another server uses it") {
		t.Errorf("start: %v, want it refused", err)
	}
}

// A server that ended without a word, as in a crash, is signed off by the one that gets
// its data directory: what it had is taken over although its lease lives for an hour.
func TestRestartProvesDeath(t *testing.T) {
	t.Parallel()
	c, dir := &company{t, &server.Coordinators{}}, t.TempDir()
	store, leave := c.meeting.Join(server.DefaultCluster, clock.System()) // it outlives the servers
	defer leave()
	first := c.join(with(dir))
	if _, err := addTo(t.Context(), first, "Tally-1", 1); err != nil {
		t.Errorf("add: %v", err)
	}
	key := "/goverse/" + server.DefaultCluster + "/nodes/" + first.Member().Incarnation()
	first.Link().Close() // nobody hears of its end
	if err := first.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if kv, _, err := store.Get(t.Context(), key); err != nil || !kv.Exists() {
		t.Fatalf("the first server is gone from the store: %+v, %v", kv, err)
	}
	limited, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	second := c.found(with(dir))
	if err := second.Start(limited); err != nil {
		t.Fatalf("the shards are not taken over: %v", err)
	}
	if kv, _, err := store.Get(t.Context(), key); err != nil || kv.Exists() {
		t.Errorf("the first server is in the store: %+v, %v", kv, err)
	}
	if _, err := addTo(t.Context(), second, "Tally-1", 1); err != nil {
		t.Errorf("add: %v", err)
	}
}

// A data directory with a living server's name in it is no proof that this one is dead,
// whoever holds its lock.
func TestNoProofOfDeath(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		falsify func(text string) string // what the file says
		copied  bool                     // else only the file is, into a directory that has a lock
		why     string
	}{
		"a copy":           {func(s string) string { return s }, true, "its lock is another file"},
		"another boot":     {replacing(`"boot":"[^"]*"`, `"boot":"x"`), false, "the machine has started anew"},
		"another lock":     {replacing(`"lock":"([^"]*):[^"]*"`, `"lock":"$1:1"`), false, "its lock is another file"},
		"another device":   {replacing(`"lock":"[^"]*:`, `"lock":"fff:`), false, "its lock is another file"},
		"a network":        {replacing(`,"place":{[^}]*}`, ``), false, "locks prove nothing"},
		"an older version": {replacing(`^{"incarnation":"([^"]*)".*\s*$`, "$1\n"), false, "locks prove nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, dir, other := &company{t, &server.Coordinators{}}, t.TempDir(), t.TempDir()
			_, leave := c.meeting.Join(server.DefaultCluster, clock.System())
			defer leave()
			if !test.copied { // the file names the right lock, were it not for the falsification
				if err := c.join(with(other)).Stop(context.Background()); err != nil {
					t.Errorf("stop: %v", err)
				}
			}
			living := c.join(with(dir))
			from := other
			if test.copied {
				from = dir
				if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(filepath.Join(from, "incarnation"))
			if err != nil {
				t.Fatal(err)
			}
			named := regexp.MustCompile(`"incarnation":"[^"]*"`).ReplaceAllString(string(text), `"incarnation":"`+living.Member().Incarnation()+`"`)
			changed := test.falsify(named)
			if !test.copied && changed == named {
				t.Fatalf("nothing to falsify in %s", named)
			}
			if err := os.WriteFile(filepath.Join(other, "incarnation"), []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			log := &logBook{}
			second := c.join(with(other), func(cfg *server.Config) { cfg.Logger = (&fixture{log: log}).logger() })
			if !slices.ContainsFunc(second.Member().Members(), func(m cluster.MemberInfo) bool { return m.Incarnation == living.Member().Incarnation() }) {
				t.Errorf("the living server was signed off:\n%s", log)
			}
			if !strings.Contains(log.String(), test.why) {
				t.Errorf("the log does not say %q:\n%s", test.why, log)
			}
		})
	}
}

func replacing(pattern, by string) func(string) string {
	return func(s string) string { return regexp.MustCompile(pattern).ReplaceAllString(s, by) }
}

// Locks of network file systems prove nothing.
func TestNetworkFileSystems(t *testing.T) {
	t.Parallel()
	for _, magic := range []uint32{unix.NFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC} {
		if !server.Networked(magic) {
			t.Errorf("%#x counts as local", magic)
		}
	}
	for _, magic := range []uint32{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		if server.Networked(magic) {
			t.Errorf("%#x counts as a network's", magic)
		}
	}
}

// A server with a data directory belongs to its cluster: where another one has the same
// name, it does not join.
func TestAnotherClusterOfTheSameName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own, other := &company{t, &server.Coordinators{}}, &company{t, &server.Coordinators{}}
	own.join()
	other.join()
	if err := own.join(with(dir)).Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := other.found(with(dir)).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "this member belongs to") {
		t.Errorf("start in another cluster: %v, want it refused", err)
	}
	own.join(with(dir)) // as before
}
