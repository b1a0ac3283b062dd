package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair writes a certificate and its key, and returns their files.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	like := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, like, like, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// The flags about etcd become what opens it; files that are missing or hold something else are told.
func TestEtcdFlags(t *testing.T) {
	t.Parallel()
	cert, key := pair(t)
	for _, c := range []struct{ args, password, says string }{
		{"", "", ""},
		{"-etcd https://a:1,b:2", "of another user", ""},
		{"-etcd-user ann", "secret", ""},
		{"-etcd-user ann", "", "-etcd-user: its password is missing in GOVERSE_ETCD_PASSWORD"},
		{"-etcd-ca " + cert + " -etcd-cert " + cert + " -etcd-key " + key, "", ""},
		{"-etcd-cert " + cert, "", "-etcd-cert, -etcd-key: both are needed, or neither"},
		{"-etcd-key " + key, "", "-etcd-cert, -etcd-key: both are needed, or neither"},
		{"-etcd-ca " + key, "", "-etcd-ca: there is no certificate in " + key},
		{"-etcd-ca " + cert + "x", "", "-etcd-ca: open " + cert + "x"},
		{"-etcd-cert " + key + " -etcd-key " + cert, "", "-etcd-cert, -etcd-key: "},
	} {
		var m meeting
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		m.flags(flags)
		if err := flags.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		got, err := m.config(c.password)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.args, err, c.says)
			continue
		}
		if err != nil {
			continue
		}
		tls, user := strings.Contains(c.args, "-ca"), strings.Contains(c.args, "-user")
		if (got.TLS != nil) != tls || tls && (got.TLS.RootCAs == nil || len(got.TLS.Certificates) != 1) || (got.Username == "ann") != user || (got.Password == "secret") != user || !user && got.Password != "" {
			t.Errorf("%s: %+v", c.args, got)
		}
	}
}
