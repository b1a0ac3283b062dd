package watch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// pollPause is the rest between two looks at whether a cluster is as it should be.
const pollPause = 200 * time.Millisecond

// lookPause is the rest where it is known to be as it should be soon.
const lookPause = 20 * time.Millisecond

// Page is a reader of one inspector. It is safe for concurrent use.
type Page struct {
	url       string
	transport *http.Transport
	client    *http.Client
}

// NewPage returns a reader of the inspector at an address.
func NewPage(address string) *Page {
	t := &http.Transport{DisableCompression: true}
	return &Page{url: "http://" + address, transport: t, client: &http.Client{Transport: t}}
}

// Close gives up idle connections. Streams end by themselves.
func (p *Page) Close() { p.transport.CloseIdleConnections() }

func (p *Page) open(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", path, err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return nil, errors.Join(fmt.Errorf("ask for %s: %s: %s", path, resp.Status, text), resp.Body.Close())
	}
	return resp.Body, nil
}

// Get asks for a path below the inspector's root and decodes the answer.
func (p *Page) Get(ctx context.Context, path string, into any) (err error) {
	body, err := p.open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	text, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// Settled waits until the inspector sees so many live nodes, and all shards open at an owner, evenly shared out.
func (p *Page) Settled(ctx context.Context, nodes int) error {
	const quietLooks, evenSkew = 3, 1.2
	again := time.NewTicker(pollPause)
	defer again.Stop()
	for quiet := 0; quiet < quietLooks; {
		var shards struct {
			Unowned, Moving int
			Skew            float64
		}
		live, err := p.live(ctx)
		if err := errors.Join(err, p.Get(ctx, "/api/shards", &shards)); err != nil {
			return err
		}
		if quiet++; live != nodes || shards.Unowned+shards.Moving > 0 || shards.Skew > evenSkew {
			quiet = 0
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d nodes (%d are live, %+v): %w", nodes, live, shards, ctx.Err())
		}
	}
	return nil
}

// live is how many nodes live and are heard from.
func (p *Page) live(ctx context.Context) (live int, err error) {
	var seen struct {
		Nodes []struct {
			State     string
			PID       int
			SilentFor float64 `json:"silent_for"`
		}
	}
	err = p.Get(ctx, "/api/nodes", &seen)
	for _, n := range seen.Nodes {
		if n.State == "live" && n.PID != 0 && n.SilentFor == 0 {
			live++
		}
	}
	return live, err
}

// Knows waits until the inspector has read the records of the cluster, and does not ask for anything that
// makes it think that somebody looks at figures.
func (p *Page) Knows(ctx context.Context) error {
	again := time.NewTicker(lookPause)
	defer again.Stop()
	for {
		var shards struct{ Count int }
		if err := p.Get(ctx, "/api/shards", &shards); err != nil || shards.Count > 0 {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the cluster's records: %w", ctx.Err())
		}
	}
}

// Sees fails unless the inspector hears from so many live nodes, within some seconds.
func (p *Page) Sees(ctx context.Context, nodes int) error {
	const looks = 25
	again := time.NewTicker(pollPause)
	defer again.Stop()
	for look := 1; ; look++ {
		live, err := p.live(ctx)
		switch {
		case err != nil || live == nodes:
			return err
		case look == looks:
			return fmt.Errorf("the inspector hears from %d nodes, not %d", live, nodes)
		}
		<-again.C
	}
}

// Stream is an open stream. It is used by one goroutine.
type Stream struct {
	body io.ReadCloser
	in   *bufio.Reader
	read int64
}

// Stream opens one; the query is what stands behind the question mark. It ends with ctx.
func (p *Page) Stream(ctx context.Context, query string) (*Stream, error) {
	body, err := p.open(ctx, "/api/stream?"+query)
	if err != nil {
		return nil, err
	}
	s := &Stream{body: body}
	s.in = bufio.NewReaderSize(body, 64<<10)
	return s, nil
}

// Next returns the next message and its topic.
func (s *Stream) Next() (topic string, data []byte, err error) {
	for {
		line, err := s.in.ReadBytes('\n')
		s.read += int64(len(line))
		if err != nil {
			return "", nil, fmt.Errorf("read stream: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0 && topic != "":
			return topic, data, nil
		case bytes.HasPrefix(line, []byte("event: ")):
			topic = string(line[len("event: "):])
		case bytes.HasPrefix(line, []byte("data: ")):
			data = append(data, line[len("data: "):]...)
		}
	}
}

// Bytes is how much was read so far.
func (s *Stream) Bytes() int64 { return s.read }

// Close ends the stream.
func (s *Stream) Close() error { return s.body.Close() }
