package etcd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	for version, least := range map[string]string{ // the minimum that is named; "": accepted
		"3.7.3": "", "3.7.0": "", "3.7.0-rc.1": "", "3.10.0": "", "4.0.0": "",
		"3.6.9": "", "3.6.10": "", "3.6.9+git": "", "3.5.28": "", "3.5.100": "", "3.4.42": "",
		"3.6.8": "3.6.9", "3.6.9-rc.0": "3.6.9", "3.6.0": "3.6.9",
		"3.5.27": "3.5.28", "3.5.12": "3.5.28", "3.5.28-rc.0": "3.5.28",
		"3.4.41": "3.4.42", "3.4.0": "3.4.42", "3.3.99": "3.4.42", "3.0.0": "3.4.42", "2.3.8": "3.4.42",
		"": "cannot be understood", "3.7": "cannot be understood", "3.7.3.1": "cannot be understood",
		"3.7.x": "cannot be understood", "v3.7.3": "cannot be understood", "3.-7.3": "cannot be understood",
		"3.7.99999999999999999999": "cannot be understood",
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, 1)
			f.version = version
			s, err := etcd.Open(t.Context(), etcd.Config{Endpoints: f.endpoints})
			if s != nil {
				s.Close()
			}
			if least == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantErr(t, "Open", err, coord.ErrInvalid)
			wantText(t, err, f.endpoints[0], version, least)
		})
	}
}

// One bad endpoint among good ones is refused as well.
func TestOneOldVersion(t *testing.T) {
	t.Parallel()
	good, bad := newFakes(t, 2), newFakes(t, 1)
	bad.version = "3.5.12"
	_, err := etcd.Open(t.Context(), etcd.Config{Endpoints: append(bad.endpoints, good.endpoints...)})
	wantErr(t, "Open", err, coord.ErrInvalid)
	wantText(t, err, "etcd endpoint "+bad.endpoints[0]+" runs version 3.5.12", "at least 3.5.28 is needed")
}

func TestTwoClusters(t *testing.T) {
	t.Parallel()
	one, two := newFakes(t, 1), newFakes(t, 1)
	two.cluster = 2
	_, err := etcd.Open(t.Context(), etcd.Config{Endpoints: append(one.endpoints, two.endpoints...)})
	wantErr(t, "Open", err, coord.ErrInvalid)
	wantText(t, err, "belongs to cluster")
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	a, b := freePort(t), freePort(t)
	cfg := etcd.Config{Endpoints: []string{a, b}, DialTimeout: 50 * time.Millisecond}
	_, err := etcd.Open(t.Context(), cfg)
	wantErr(t, "Open", err, coord.ErrUnavailable)
	wantText(t, err, a, b, "connection refused")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg.DialTimeout = time.Hour
	if _, err = etcd.Open(ctx, cfg); !errors.Is(err, coord.ErrUnavailable) {
		t.Errorf("Open with an ended context: %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 1)
	e := f.endpoints[0]
	for _, tc := range []struct {
		cfg  etcd.Config
		want []string
	}{
		{etcd.Config{}, []string{"no endpoint"}},
		{etcd.Config{Endpoints: []string{"localhost"}}, []string{`"localhost" is not host:port`}},
		{etcd.Config{Endpoints: []string{":1"}}, []string{`":1" is not host:port`}},
		{etcd.Config{Endpoints: []string{"a:"}}, []string{`"a:" is not host:port`}},
		{etcd.Config{Endpoints: []string{"http://a:1/x"}}, []string{"is not host:port"}},
		{etcd.Config{Endpoints: []string{"unix:///a:1"}}, []string{`scheme "unix"`}},
		{etcd.Config{Endpoints: []string{"http://a:1"}, TLS: &tls.Config{}}, []string{"without TLS"}},
		{
			etcd.Config{Endpoints: []string{e, "x"}, Username: "u", DialTimeout: -1},
			[]string{`"x"`, "user name and password", "dial timeout"},
		},
		{etcd.Config{Endpoints: []string{e}, Password: "p"}, []string{"user name and password"}},
	} {
		_, err := etcd.Open(t.Context(), tc.cfg)
		wantErr(t, "Open", err, coord.ErrInvalid)
		wantText(t, err, tc.want...)
	}
	s := open(t, etcd.Config{Endpoints: []string{"http://" + e + "/", e, e}})
	if s.ClusterID() != 1 {
		t.Errorf("ClusterID = %d, want 1", s.ClusterID())
	}
	if f.asked != 1 {
		t.Errorf("%d links to one endpoint", f.asked)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 2)
	s, err := etcd.Open(t.Context(), etcd.Config{Endpoints: f.endpoints})
	if err != nil {
		t.Fatal(err)
	}
	f.set(func(f *fakes) {
		f.answer = func(ctx context.Context, n int) (int64, error) {
			if n == 0 {
				<-ctx.Done()
			}
			return 1, ctx.Err()
		}
	})
	hanging := make(chan error, 1)
	go func() { hanging <- requests(s)["Txn"](t.Context()) }()
	f.sent(t, 1)
	idle := s.Watch(t.Context(), "", 1)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	wantErr(t, "a call under way", <-hanging, coord.ErrUnavailable)
	select {
	case b, ok := <-idle:
		if ok {
			t.Errorf("a watch says %+v after Close", b)
		}
	default:
		t.Error("Close has not waited for a watch")
	}
	f.made()
	for method, call := range requests(s) {
		wantErr(t, method+" on a closed store", call(t.Context()), coord.ErrUnavailable)
	}
	if _, ok := <-s.Watch(t.Context(), "", 1); ok {
		t.Error("a closed store watches")
	}
	if made := f.made(); len(made) > 0 {
		t.Errorf("a closed store has asked %v", made)
	}
}
