//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/xiaonanln/goverse/internal/chaos/role"
)

// errExit is how a process ended that says nothing.
var errExit = errors.New("exit code 0")

func orExit(err error) error {
	if err == nil {
		return errExit
	}
	return err
}

// Etcd is a member of the etcd cluster, dead or alive.
type Etcd struct {
	*Process // the last one; nil before the first start

	cfg role.EtcdConfig
	dir string
}

// NewEtcd is a cluster of members that have not started.
func NewEtcd(ctx context.Context, members int, dir string, ports *Ports) ([]*Etcd, error) {
	var all []*Etcd
	var cluster []string
	for i := range members {
		client, err := ports.Free(ctx)
		if err != nil {
			return nil, err
		}
		peer, err := ports.Free(ctx)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("etcd%d", i)
		cluster = append(cluster, name+"=http://"+peer)
		all = append(all, &Etcd{dir: dir, cfg: role.EtcdConfig{
			Name: name, Client: client, Peer: peer, Dir: filepath.Join(dir, name), Log: filepath.Join(dir, name+".log"),
		}})
	}
	for _, e := range all {
		e.cfg.Cluster = strings.Join(cluster, ",")
	}
	return all, nil
}

// Address is where clients reach it.
func (e *Etcd) Address() string { return e.cfg.Client }

// Start starts the member, and does not wait until it serves.
func (e *Etcd) Start(ctx context.Context) error {
	log := filepath.Join(e.dir, e.cfg.Name+".err")
	p, err := Start(context.WithoutCancel(ctx), e.cfg.Name, "etcd", e.cfg, log, log)
	if err != nil {
		return err
	}
	go func() {
		for range p.Lines() { // it says nothing
		}
	}()
	e.Process = p
	return nil
}

// Freeze makes the member stand still, or go on.
func (e *Etcd) Freeze(frozen bool) error {
	if frozen {
		return e.Signal(syscall.SIGSTOP)
	}
	return e.Signal(syscall.SIGCONT)
}

// Close kills it, if it was started.
func (e *Etcd) Close() error {
	if e.Process == nil {
		return nil
	}
	return e.Kill()
}
