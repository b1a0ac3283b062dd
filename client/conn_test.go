package client

import (
	"bytes"
	"context"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// Whatever frames a connection carries and however they are cut into reads, a GOAWAY
// is seen when its header is complete, and nothing else is taken for one.
func TestFramesSeesGoAway(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var buf bytes.Buffer
		buf.WriteString(http2.ClientPreface)
		fr := http2.NewFramer(&buf, nil)
		seenFrom := -1
		for range rapid.IntRange(0, 8).Draw(t, "frames") {
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				_ = fr.WriteSettings()
			case 1: // a body full of GOAWAYs' type
				_ = fr.WriteData(1, false, bytes.Repeat([]byte{typeGoAway}, rapid.IntRange(0, 40).Draw(t, "length")))
			case 2:
				_ = fr.WritePing(false, [8]byte{7, 7, 7, 7, 7, 7, 7, 7})
			case 3:
				_ = fr.WriteRSTStream(7, http2.ErrCodeCancel)
			case 4:
				if seenFrom < 0 {
					seenFrom = buf.Len() + headerLen
				}
				_ = fr.WriteGoAway(0, http2.ErrCodeNo, []byte("bye"))
			}
		}
		f := newFrames()
		seen := false
		for read, all := 0, buf.Bytes(); read < len(all); {
			n := min(rapid.IntRange(1, 60).Draw(t, "read"), len(all)-read)
			seen = f.scan(all[read:read+n]) || seen
			read += n
			if want := seenFrom >= 0 && read >= seenFrom; seen != want {
				t.Fatalf("after %d bytes: seen %v, want %v", read, seen, want)
			}
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(http2.ClientPreface+"\x00\x00\x08\x07\x00\x00\x00\x00\x00bye bye!"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		whole, pieces := newFrames(), newFrames()
		want := whole.scan(b)
		got := false
		for n := int(step)%50 + 1; len(b) > 0; {
			n = min(n, len(b))
			got = pieces.scan(b[:n]) || got
			b = b[n:]
		}
		if got != want || whole != pieces {
			t.Errorf("whole: %v %+v, in pieces: %v %+v", want, whole, got, pieces)
		}
	})
}

// A stream of a server without our credentials has no connection, and is never lost.
func TestWithoutAWatchedConnection(t *testing.T) {
	t.Parallel()
	if c := connOf(context.Background()); c.broke() {
		t.Error("nothing broke")
	}
}
