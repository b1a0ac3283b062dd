package shard_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/xiaonanln/goverse/internal/shard"
)

var rewrite = flag.Bool("rewrite", false, "write the answers in testdata anew")

// TestPlanTranscripts plays the files of testdata/plan: blocks of commands, a line of
// dashes, and the answer. Read them as documentation of what a leader does.
//
//	shards 12                        the cluster has 12 shards, nobody has them
//	limits inflight=2 slack=-1       ... and these limits
//	join c weight=2 grace            a node; with grace it does not accept yet
//	set c accepts | suspect | drains | weight=3
//	die c
//	operate 7 c                      an operator moves shard 7 to c and pins it
//	plan                             the leader plans and begins all of it
//	finish 7 9, abort 7, rest 7      moves end; the back-off of 7 ends. No number: all
//	show                             who has what
//	settle                           finish, then plan and finish until nothing is left to do
func TestPlanTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/plan/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var played strings.Builder
			s := stage{t: t}
			for i, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
				if i > 0 {
					played.WriteString("\n")
				}
				input, _, _ := strings.Cut(block, "\n----")
				played.WriteString(input + "\n")
				s.out.Reset()
				asked := false
				for line := range strings.Lines(input) {
					if words := strings.Fields(line); !strings.HasPrefix(line, "#") {
						asked = true
						s.do(words[0], words[1:])
					}
				}
				if asked {
					played.WriteString("----\n" + s.out.String())
				}
			}
			switch {
			case *rewrite:
				if err := os.WriteFile(file, []byte(played.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			case played.String() != string(text):
				t.Errorf("%s differs (look at the difference after: go test ./internal/shard -rewrite); now it is\n%s", file, &played)
			}
		})
	}
}

// stage is the cluster of a transcript.
type stage struct {
	t      *testing.T
	nodes  []shard.Node
	held   []shard.Holding
	limits shard.Limits
	out    strings.Builder
}

func (s *stage) do(command string, words []string) {
	switch command {
	case "shards":
		s.held = make([]shard.Holding, s.number(words[0]))
	case "limits":
		s.setLimits(words)
	case "join":
		s.nodes = append(s.nodes, shard.Node{ID: words[0], Weight: 1, Accepts: true})
		s.set(words)
	case "set":
		s.set(words)
	case "die":
		s.nodes = slices.DeleteFunc(s.nodes, func(n shard.Node) bool { return n.ID == words[0] })
	case "operate":
		h := &s.held[s.number(words[0])]
		h.Target, h.Pinned = words[1], true
	case "plan":
		s.plan()
	case "finish", "abort", "rest":
		s.end(command, words)
	case "show":
		s.show()
	case "settle":
		s.end("finish", nil)
		moves, takeovers := carryOut(s.t, s.nodes, s.held, s.limits)
		fmt.Fprintf(&s.out, "%d moves, %d takeovers\n", moves, takeovers)
	default:
		s.t.Fatalf("unknown command %q", command)
	}
}

func (s *stage) number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *stage) setLimits(words []string) {
	s.limits = shard.Limits{}
	for _, word := range words {
		var err error
		switch name, value, _ := strings.Cut(word, "="); name {
		case "inflight":
			s.limits.InFlight = s.number(value)
		case "perpair":
			s.limits.PerPair = s.number(value)
		case "slack":
			s.limits.Slack, err = strconv.ParseFloat(value, 64)
		default:
			s.t.Fatalf("unknown limit %q", word)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *stage) set(words []string) {
	n := &s.nodes[slices.IndexFunc(s.nodes, func(n shard.Node) bool { return n.ID == words[0] })]
	for _, word := range words[1:] {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "grace", "suspect":
			n.Accepts = false
		case "accepts":
			n.Accepts = true
		case "drains":
			n.Drains = true
		case "weight":
			n.Weight = s.number(value)
		default:
			s.t.Fatalf("unknown state %q", word)
		}
	}
}

func (s *stage) plan() {
	changes := shard.Plan(s.nodes, s.held, s.limits)
	if len(changes) == 0 {
		s.out.WriteString("nothing to do\n")
	}
	var order []string
	shards := map[string]string{}
	for _, c := range changes {
		what := fmt.Sprintf("%s takes over", c.To)
		if c.From == "" {
			s.held[c.Shard] = shard.Holding{Owner: c.To}
		} else {
			what = fmt.Sprintf("%s to %s", c.From, c.To)
			s.held[c.Shard].Target, s.held[c.Shard].Pinned = c.To, false
		}
		if shards[what] == "" {
			order = append(order, what)
		}
		shards[what] += " " + strconv.Itoa(c.Shard)
	}
	for _, what := range order {
		fmt.Fprintf(&s.out, "%s:%s\n", what, shards[what])
	}
}

func (s *stage) end(command string, words []string) {
	for n := range s.held {
		h := &s.held[n]
		switch {
		case len(words) != 0 && !slices.Contains(words, strconv.Itoa(n)):
		case command == "rest":
			h.Waits = false
		case h.Target == "":
			if len(words) != 0 {
				s.t.Fatalf("shard %d does not move", n)
			}
		case command == "finish":
			h.Owner, h.Target = h.Target, ""
		default:
			h.Target, h.Waits = "", true
		}
	}
}

// show prints a line per owner: its shards; 7>c moves to c, 7! is pinned, 7~ waits.
func (s *stage) show() {
	owned := map[string]string{}
	ids := []string{}
	for _, n := range s.nodes {
		ids = append(ids, n.ID)
	}
	for n, h := range s.held {
		if !slices.Contains(ids, h.Owner) {
			h.Owner = "nobody"
		}
		mark := ""
		if h.Target != "" {
			mark += ">" + h.Target
		}
		if h.Pinned {
			mark += "!"
		}
		if h.Waits {
			mark += "~"
		}
		owned[h.Owner] += " " + strconv.Itoa(n) + mark
	}
	for _, id := range append(ids, "nobody") {
		if id != "nobody" || owned[id] != "" {
			fmt.Fprintf(&s.out, "%s:%s\n", id, owned[id])
		}
	}
}
