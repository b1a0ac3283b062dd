package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xiaonanln/goverse/bench/echo"
	"github.com/xiaonanln/goverse/bench/fleet"
	"github.com/xiaonanln/goverse/bench/goverse"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
)

// roomStreams is how many streams of a room share a connection.
const roomStreams = 200

// linked lists what a node keeps for each of its peers.
func linked() []peer.Crowd { return []peer.Crowd{goverse.Links(true), goverse.Links(false)} }

// idlers lists clients that do nothing, a connection each.
func idlers() []peer.Crowd {
	return []peer.Crowd{echo.Streams(1, 1), goverse.Registers(1), goverse.Sessions()}
}

// rooms lists those whose members hear what is said.
func rooms() []peer.Crowd {
	return []peer.Crowd{echo.Streams(2, roomStreams), goverse.RoomOfRegisters(roomStreams), goverse.RoomOfSessions()}
}

func findCrowd(name string) (peer.Crowd, error) {
	for _, list := range [][]peer.Crowd{linked(), idlers(), rooms()} {
		for _, c := range list {
			if c.Name() == name {
				return c, nil
			}
		}
	}
	return nil, usageError{fmt.Errorf("no crowd is called %q", name)}
}

// What the processes of a crowd are asked beside opServe, opUsage and opClose, and the arguments.
const (
	opGather = "gather"
	opAdd    = "add"
	opWeigh  = "weigh"
	opShout  = "shout"
)

type (
	crowdServeArgs struct {
		Before  []string
		Members int
	}
	addArgs   struct{ Members int }
	shoutArgs struct {
		Members, Payload int
		For              time.Duration
	}
	// scales is the answer to opWeigh.
	scales struct {
		Weight measure.Weight
		Parts  map[string]int64
	}
)

// crowdPart is what runs in a process of a crowd: a server or the driver.
type crowdPart struct {
	crowd     peer.Crowd
	server    peer.Server
	gathering peer.Gathering
	ear       *measure.Ear
}

func (p *crowdPart) can() map[string]fleet.Do {
	return map[string]fleet.Do{
		opServe:   fleet.With(p.serve),
		opGather:  fleet.With(p.gather),
		opAdd:     fleet.With(p.add),
		opWeigh:   fleet.With(p.weigh),
		opShout:   fleet.With(p.shout),
		opProfile: fleet.With(new(profiler).profile),
		opUsage:   fleet.With(func(context.Context, struct{}) (any, error) { return measure.ReadUsage(), nil }),
	}
}

func (p *crowdPart) serve(ctx context.Context, args crowdServeArgs) (any, error) {
	var err error
	if p.server, err = p.crowd.Serve(ctx, args.Before, args.Members); err != nil {
		return nil, err
	}
	return p.server.Tell(), nil
}

func (p *crowdPart) gather(ctx context.Context, args serveArgs) (any, error) {
	var err error
	if p.gathering, err = p.crowd.Gather(ctx, args.Before); err != nil {
		return nil, err
	}
	if s, ok := p.gathering.(peer.Shouter); ok {
		p.ear = measure.NewEar(time.Now)
		s.Hear(p.ear.Heard)
	}
	return nil, nil
}

func (p *crowdPart) add(ctx context.Context, args addArgs) (any, error) {
	if p.gathering == nil {
		return nil, errors.New("nobody gathers here")
	}
	return nil, p.gathering.Add(ctx, args.Members)
}

func (p *crowdPart) weigh(context.Context, struct{}) (any, error) {
	return scales{Weight: measure.Weigh(), Parts: measure.HeapParts()}, nil
}

func (p *crowdPart) shout(ctx context.Context, args shoutArgs) (any, error) {
	s, ok := p.gathering.(peer.Shouter)
	if !ok {
		return nil, errors.New("nobody says anything here")
	}
	return measure.Bench{Now: time.Now}.FanOut(ctx, s, p.ear, args.Members, args.Payload, args.For)
}

// close stops what runs.
func (p *crowdPart) close(ctx context.Context) error {
	var errs []error
	if p.gathering != nil {
		errs = append(errs, p.gathering.Close(ctx))
	}
	if p.server != nil {
		errs = append(errs, p.server.Close(ctx))
	}
	return errors.Join(errs...)
}
