package shard_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/shard"
)

// play runs the transcripts of a folder: blocks of a title (#), events and, after a line
// of dashes, what the rules answered. begin makes fresh rules for each block.
func play(t *testing.T, folder string, begin func(t *testing.T) func(words []string) string) {
	t.Helper()
	files, err := filepath.Glob("testdata/" + folder + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var blocks []string
		for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
			input, _, _ := strings.Cut(block, "\n----")
			do, answers := begin(t), ""
			for line := range strings.Lines(input) {
				if words := strings.Fields(line); !strings.HasPrefix(line, "#") {
					answers += do(words) + "\n"
				}
			}
			blocks = append(blocks, input+"\n----\n"+answers)
		}
		played := strings.Join(blocks, "\n")
		switch {
		case *rewrite:
			if err := os.WriteFile(file, []byte(played), 0o600); err != nil {
				t.Fatal(err)
			}
		case played != string(text):
			t.Errorf("%s differs (look at the difference after: go test ./internal/shard -rewrite); now it is\n%s", file, played)
		}
	}
}

// TestOwnerTranscripts plays what happens to one shard on member a, whose key has the
// revision 1. Others are b (2) and c (3).
//
//	record a epoch=5 rev=10 [to=b] [handover=9]   the watch tells
//	read … (the same)                             a reading that was asked for says
//	opened, drained, failed, refused, unknown, denied     how the last action ended
//	written rev=12                                … it was written
//	quit                                          the member's lease is lost
func TestOwnerTranscripts(t *testing.T) {
	t.Parallel()
	play(t, "owner", func(t *testing.T) func([]string) string {
		t.Helper()
		o := shard.NewOwner("a", 1, shard.Flaws{})
		var last shard.OwnerAction
		return func(words []string) string {
			e := ownerEvent(t, words)
			e.Number = last.Number
			if e.Kind == shard.Written {
				e.Record = last.Record
			}
			answer := strings.Join(words, " ") + " → "
			for _, a := range o.Step(e) {
				answer += showAction(a) + "; "
				if a.Kind != shard.CallOff && a.Kind != shard.Release && a.Kind != shard.Reopen {
					last = a
				}
			}
			return answer + o.Phase.String()
		}
	})
}

func ownerEvent(t *testing.T, words []string) (e shard.OwnerEvent) {
	t.Helper()
	kinds := map[string]shard.OwnerEventKind{
		"record": shard.RecordSeen, "read": shard.Read, "opened": shard.Opened, "drained": shard.Drained, "failed": shard.DrainFailed,
		"refused": shard.Refused, "unknown": shard.Unknown, "denied": shard.Denied, "written": shard.Written, "quit": shard.Quit,
	}
	e.Kind = kinds[words[0]]
	if e.Kind == 0 {
		t.Fatalf("what is %q?", words)
	}
	if e.Kind == shard.Quit {
		e.Why = shard.ReleaseDead
	}
	for _, word := range words[1:] {
		key, value, isPair := strings.Cut(word, "=")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch {
		case !isPair:
			e.Record.Owner, e.Record.OwnerRev = word, int64(word[0]-'a')+1
		case key == "epoch":
			e.Record.Epoch = uint64(n)
		case key == "rev":
			e.Rev = n
		case key == "to":
			e.Record.Target, e.Record.TargetRev = value, int64(value[0]-'a')+1
		case key == "handover":
			e.Record.Handover = n
		default:
			t.Fatalf("what is %q?", word)
		}
	}
	return e
}

func showAction(a shard.OwnerAction) string {
	switch a.Kind {
	case shard.Open:
		return fmt.Sprintf("open epoch %d, hand-over %d", a.Epoch, a.Handover)
	case shard.Drain:
		return fmt.Sprintf("drain to %s, hand over as %d", a.Target, a.Handover)
	case shard.Reopen:
		return "reopen"
	case shard.Release:
		return "release: " + a.Why.String()
	case shard.WriteTransfer:
		return fmt.Sprintf("write %s epoch %d hand-over %d over %d", a.Record.Owner, a.Record.Epoch, a.Record.Handover, a.Rev)
	case shard.WriteAbort:
		return fmt.Sprintf("write %s epoch %d without the move over %d", a.Record.Owner, a.Record.Epoch, a.Rev)
	case shard.ReadRecord:
		return "read"
	case shard.CallOff:
		return "call off"
	}
	return "?"
}

// TestLeaseTranscripts plays a lease of 6 s that was asked for at 0 and granted at 0.2 s.
// Events: tick at, renewed at sent, lost at, verified at, refuted at, doubted at; times in seconds. What
// is verified is read in no time, unless a line "reads" says when that began.
func TestLeaseTranscripts(t *testing.T) {
	t.Parallel()
	play(t, "lease", func(t *testing.T) func([]string) string {
		t.Helper()
		l := shard.NewLease(0, 200*time.Millisecond, 6*time.Second, shard.Flaws{})
		var reading bool
		var until time.Duration
		return func(words []string) string {
			if !reading {
				until = l.Doubt()
			}
			if reading = words[0] == "reads" || reading && words[0] != "verified"; words[0] == "reads" {
				return fmt.Sprintf("reads → what would be valid until %v", until)
			}
			kinds := map[string]shard.LeaseEventKind{
				"tick": shard.LeaseTick, "renewed": shard.LeaseRenewed, "lost": shard.LeaseLost, "verified": shard.LeaseVerified, "refuted": shard.LeaseRefuted,
				"doubted": shard.LeaseDoubted,
			}
			e := shard.LeaseEvent{Kind: kinds[words[0]], Now: seconds(t, words[1]), TTL: 6 * time.Second, Until: until}
			if e.Kind == 0 {
				t.Fatalf("what is %q?", words)
			}
			if len(words) > 2 {
				e.Sent = seconds(t, words[2])
			}
			answer := strings.Join(words, " ") + " → "
			for _, a := range l.Step(e) {
				answer += [...]string{"", "suspend", "verify", "resume", "die"}[a] + "; "
			}
			return fmt.Sprintf("%s%v until %v", answer, l.State, l.ValidUntil)
		}
	})
}

func seconds(t *testing.T, s string) time.Duration {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(f * float64(time.Second))
}
