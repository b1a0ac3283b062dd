package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// passwordVariable is the environment variable with the password of -etcd-user: arguments are seen by all users of a machine.
const passwordVariable = "GOVERSE_ETCD_PASSWORD" //nolint:gosec // G101: a name, no password

// meeting is how to reach etcd, as flags say it.
type meeting struct {
	endpoints, ca, cert, key, user string
}

func (m *meeting) flags(to *flag.FlagSet) {
	to.StringVar(&m.endpoints, "etcd", "localhost:47379", "`endpoints` of the etcd where the servers meet, separated by commas; https://host:port, or with -etcd-ca, by TLS")
	to.StringVar(&m.ca, "etcd-ca", "", "`file` with the certificates (PEM) of who vouches for etcd (default, for https endpoints, those of the system)")
	to.StringVar(&m.cert, "etcd-cert", "", "`file` with the certificate (PEM) to show to etcd, with -etcd-key")
	to.StringVar(&m.key, "etcd-key", "", "`file` with the key (PEM) of -etcd-cert")
	to.StringVar(&m.user, "etcd-user", "", "`name` at etcd's own authentication; the password is in "+passwordVariable)
}

// config is the same for who opens the store. It reads the files once.
func (m *meeting) config(password string) (etcd.Config, error) {
	c := etcd.Config{Endpoints: list(m.endpoints), Username: m.user, Password: password}
	if m.user == "" {
		c.Password = "" // it is somebody else's
	} else if password == "" {
		return c, fmt.Errorf("-etcd-user: its password is missing in %s", passwordVariable)
	}
	if (m.cert == "") != (m.key == "") {
		return c, errors.New("-etcd-cert, -etcd-key: both are needed, or neither")
	}
	if m.ca == "" && m.cert == "" {
		return c, nil
	}
	c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if m.ca != "" {
		text, err := os.ReadFile(m.ca)
		if err != nil {
			return c, fmt.Errorf("-etcd-ca: %w", err)
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(text) {
			return c, fmt.Errorf("-etcd-ca: there is no certificate in %s", m.ca)
		}
	}
	if m.cert != "" {
		pair, err := tls.LoadX509KeyPair(m.cert, m.key)
		if err != nil {
			return c, fmt.Errorf("-etcd-cert, -etcd-key: %w", err)
		}
		c.TLS.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
