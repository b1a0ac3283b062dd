package etcd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	der, key := a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.key, a.pem = cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// sign makes a certificate, self-signed as long as there is no authority.
func (a *authority) sign(c *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "goverse test"}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

// pair is a certificate for 127.0.0.1, for both sides of a connection, as PEM.
func (a *authority) pair() (cert, key []byte) {
	a.t.Helper()
	der, private := a.sign(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// files are the authority's certificate and a pair of its own, in files.
func (a *authority) files() (ca, cert, key string) {
	a.t.Helper()
	dir := a.t.TempDir()
	c, k := a.pair()
	for name, content := range map[string][]byte{"ca": a.pem, "cert": c, "key": k} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
}

// client is the configuration of a client who trusts the authority, with a certificate of signer's unless it is nil.
func (a *authority) client(signer *authority) *tls.Config {
	a.t.Helper()
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(a.cert)
	if signer != nil {
		pair, err := tls.X509KeyPair(signer.pair())
		if err != nil {
			a.t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	ca, cert, key := ours.files()
	for name, clientCerts := range map[string]bool{"servers are checked": false, "and clients": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := newMembers(t, 1, func(cfg *embed.Config) {
				secure := []url.URL{{Scheme: "https", Host: cfg.ListenClientUrls[0].Host}}
				cfg.ListenClientUrls, cfg.AdvertiseClientUrls = secure, secure
				cfg.ClientTLSInfo.CertFile, cfg.ClientTLSInfo.KeyFile = cert, key
				if clientCerts {
					cfg.ClientTLSInfo.ClientCertAuth, cfg.ClientTLSInfo.TrustedCAFile = true, ca
				}
			})
			start(t, members...)
			e := members[0].endpoint
			enter := func(endpoint string, cfg *tls.Config) error {
				s, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{endpoint}, TLS: cfg, DialTimeout: 2 * time.Second})
				if err != nil {
					return err
				}
				defer s.Close()
				put(t, s, "k", "", coord.NoLease)
				return nil
			}
			for _, endpoint := range []string{e, "https://" + e} {
				if err := enter(endpoint, ours.client(ours)); err != nil {
					t.Errorf("Open(%q): %v", endpoint, err)
				}
			}
			err := enter(e, theirs.client(ours))
			wantErr(t, "a wrong authority", err, coord.ErrUnavailable)
			wantText(t, err, e, "certificate signed by unknown authority")
			err = enter("https://"+e, nil) // the system's authorities
			wantErr(t, "no authority", err, coord.ErrUnavailable)
			wantText(t, err, "certificate")
			wantErr(t, "without TLS", enter(e, nil), coord.ErrUnavailable)

			want := map[bool]error{true: coord.ErrUnavailable, false: nil}[clientCerts]
			wantErr(t, "no client certificate", enter(e, ours.client(nil)), want)
			wantErr(t, "a client certificate of another authority", enter(e, ours.client(theirs)), want)
		})
	}
}

// protect turns on authentication: root, who may do all, and guest, who may read what begins with "open/".
func protect(t *testing.T, m *member) {
	t.Helper()
	ctx, server := t.Context(), m.etcd.Server
	for _, name := range []string{"root", "guest"} {
		if _, err := server.UserAdd(ctx, &pb.AuthUserAddRequest{Name: name, Password: name + "'s", Options: nil}); err != nil {
			t.Fatal(err)
		}
		if _, err := server.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
		if _, err := server.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: name, Role: name}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := server.AuthEnable(ctx, &pb.AuthEnableRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, func(cfg *embed.Config) { cfg.BcryptCost, cfg.AuthTokenTTL = 4, 1 })
	start(t, members...)
	cfg := etcd.Config{Endpoints: endpoints(members), Username: "root", Password: "root's"}
	early := open(t, cfg) // when nobody asks for it
	put(t, early, "k", "1", coord.NoLease)
	protect(t, members[0])

	// Open before, it logs in when it must.
	put(t, early, "k", "2", coord.NoLease)
	s := open(t, cfg)
	lease := grant(t, s, time.Hour)
	rev := put(t, s, "k", "3", lease.ID)
	f := follow(t, s, "k", rev)
	f.events(1)

	for name, c := range map[string]etcd.Config{
		"wrong password": {Endpoints: cfg.Endpoints, Username: "root", Password: "wrong"},
		"unknown user":   {Endpoints: cfg.Endpoints, Username: "nobody", Password: "root's"},
	} {
		_, err := etcd.Open(t.Context(), c)
		wantErr(t, name, err, coord.ErrInvalid)
		wantText(t, err, cfg.Endpoints[0], "invalid user ID or password")
	}
	_, err := etcd.Open(t.Context(), etcd.Config{Endpoints: cfg.Endpoints})
	wantErr(t, "nobody", err, coord.ErrInvalid)
	wantText(t, err, cfg.Endpoints[0], "wants a user name and a password")
	guest := open(t, etcd.Config{Endpoints: cfg.Endpoints, Username: "guest", Password: "guest's"})
	_, _, err = guest.Get(t.Context(), "k")
	wantErr(t, "a guest", err, coord.ErrRefused)
	wantText(t, err, "permission denied")
	wantErr(t, "a guest's watch", (<-guest.Watch(t.Context(), "k", 1)).Err, coord.ErrRefused)

	// Tokens are forgotten by a restart: a new one is fetched, once.
	members[0].stop()
	start(t, members...)
	last := put(t, s, "k", "4", lease.ID)
	if got := f.events(1)[0].KV.ModRev; got != last {
		t.Errorf("the watch tells revision %d, want %d", got, last)
	}
	if _, err := s.KeepAliveOnce(t.Context(), lease.ID); err != nil {
		t.Errorf("KeepAliveOnce: %v", err)
	}
}

// The password is changed while the store is open.
func TestLoginThatNoLongerWorks(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 1)
	f.login = func() (string, error) { return "token", nil }
	s := open(t, etcd.Config{Endpoints: f.endpoints, Username: "u", Password: "p"})
	refused := 0
	f.set(func(f *fakes) {
		f.answer = func(context.Context, int) (int64, error) {
			refused++
			return 0, rpctypes.ErrGRPCInvalidAuthToken
		}
		f.login = func() (string, error) { return "", rpctypes.ErrGRPCAuthFailed }
	})
	_, _, err := s.Get(t.Context(), "k")
	wantErr(t, "Get", err, coord.ErrUnavailable)
	wantText(t, err, "log in", "invalid user ID or password")
	if strings.Contains(err.Error(), coord.ErrInvalid.Error()) || refused != 1 {
		t.Errorf("refused %d times, error %v", refused, err)
	}
}

// Logging in is for once; and where it fails, another endpoint is asked, for writes as well: nothing was done yet.
func TestLogins(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 2)
	logins := 0
	login := func() (string, error) {
		if logins++; logins == 3 {
			return "", rpctypes.ErrGRPCNoLeader
		}
		return map[bool]string{true: "token", false: ""}[logins > 3], nil
	}
	f.login = login
	s := open(t, etcd.Config{Endpoints: f.endpoints, Username: "u", Password: "p"})
	for method, call := range requests(s) {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	f.set(func(f *fakes) {
		f.calls = nil
		f.answer = func(_ context.Context, n int) (int64, error) {
			if n < 2 {
				return 0, rpctypes.ErrGRPCInvalidAuthToken
			}
			return 1, nil
		}
	})
	if logins != 2 {
		t.Errorf("%d logins for two endpoints", logins)
	}
	if err := requests(s)["Txn"](t.Context()); err != nil { // refused, no login, refused, a login, done
		t.Error(err)
	}
	if made := f.made(); len(made) != 3 || made[0] == made[1] || made[1] != made[2] || logins != 4 {
		t.Errorf("sent %v with %d logins", made, logins)
	}
}

// No space is left: nothing can be written, but what lives is kept alive.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, func(cfg *embed.Config) { cfg.QuotaBackendBytes = 256 << 10 })
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	lease := grant(t, s, time.Hour)
	rev := put(t, s, "k", "", lease.ID)
	var err error
	for range 100 {
		_, err = s.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.Put("big", make([]byte, 64<<10))}})
		if err != nil {
			break
		}
	}
	wantErr(t, "a write without space", err, coord.ErrRefused)
	wantText(t, err, "space")
	if _, err := s.KeepAliveOnce(t.Context(), lease.ID); err != nil {
		t.Errorf("KeepAliveOnce: %v", err)
	}
	if kv := get(t, s, "k"); kv.ModRev != rev {
		t.Errorf("k = %+v", kv)
	}
}
