package client

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// A log against a list of entries: what is taken is what was added, in order and once
// until it is rewound, then again from what is not acknowledged.
func TestOutlogIsAList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		log := outlog{most: rapid.SampledFrom([]int{200, 1 << 20}).Draw(t, "segment")}
		var entries [][]byte // all ever
		acked, sent := 0, 0
		sizes := rapid.SampledFrom([]int{0, 1, 100, 150, 5000, 20_000})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "entries") {
					fill := bytes.Repeat([]byte{byte(len(entries))}, sizes.Draw(t, "size"))
					e := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), fill)
					b := log.room(len(e))
					if cap(b)-len(b) < len(e) {
						t.Fatal("there is no room")
					}
					log.add(append(b, e...))
					entries = append(entries, e)
				}
			},
			"take": func(t *rapid.T) {
				size := log.peek()
				piece := log.take()
				if len(piece) != size {
					t.Fatalf("%d bytes were to come, and %d did", size, len(piece))
				}
				for len(piece) > 0 {
					if sent == len(entries) || !bytes.HasPrefix(piece, entries[sent]) {
						t.Fatalf("entry %d is not what was added", sent)
					}
					piece = piece[len(entries[sent]):]
					sent++
				}
			},
			"ack": func(t *rapid.T) {
				n := rapid.IntRange(acked, sent).Draw(t, "number")
				if !log.ack(uint64(n)) {
					t.Fatalf("cannot acknowledge %d of %d", n, sent)
				}
				acked = n
			},
			"bad ack": func(t *rapid.T) {
				if log.ack(uint64(sent)+1) || log.ack(1<<63) || acked > 0 && log.ack(uint64(acked)-1) {
					t.Fatal("acknowledged what cannot be")
				}
			},
			"rewind": func(*rapid.T) { log.rewind(); sent = acked },
			"": func(t *rapid.T) {
				bytes, front := 0, 0
				for i, e := range entries[acked:] {
					if i == 0 {
						front = len(e)
					}
					bytes += len(e)
				}
				if log.bytes != bytes || log.front != front || log.waiting() != len(entries)-acked || int(log.sent) != sent {
					t.Fatalf("%d entries of %d bytes wait, the first of %d; the log says %d, %d, %d, and %d sent, not %d",
						len(entries)-acked, bytes, front, log.waiting(), log.bytes, log.front, log.sent, sent)
				}
				if (acked < len(entries)) != (log.first != nil) {
					t.Fatal("an empty log keeps memory, or one that is not has none")
				}
			},
		})
	})
}
