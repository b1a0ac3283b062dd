package transporttest

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// unreachable checks that neither Call nor Send gets through, and both know.
func (k *kit) unreachable(what string, link transport.Link, why error) {
	k.t.Helper()
	_, err := ask(k.ctx, link, call("Room-1", "Refused"))
	k.refused(what+": Call", err, why)
	k.refused(what+": Send", link.Send(k.ctx, call("Room-1", "Refused")), why)
}

func testUnknownAddress(k *kit) {
	gone := k.listen(k.peer(), nobody{k.t})
	k.close(gone)
	caller := k.listen(k.peer(), nobody{k.t})
	link := caller.Dial(gone.Peer())
	for range 3 {
		k.unreachable("an address where nobody listens", link, transport.ErrUnreachable)
	}
	link.Close()
}

func testWrongIncarnation(k *kit) {
	caller, link, callee := k.pair(handler{accept: func(_ context.Context, c *transport.Call) {
		if c.Method == "Refused" {
			k.t.Error("a call for another incarnation has arrived")
		}
	}, run: echo})
	wrong := callee.Peer()
	for _, incarnation := range []string{rand.Text(), "", wrong.Incarnation + "x", wrong.Incarnation[1:]} {
		wrong.Incarnation = incarnation
		k.unreachable("a wrong incarnation", caller.Dial(wrong), transport.ErrWrongPeer)
	}
	k.works("the right one", link)
}

func testWrongCluster(k *kit) {
	caller, link, callee := k.pair(handler{accept: func(_ context.Context, c *transport.Call) {
		if c.Method == "Refused" {
			k.t.Error("a call from or for another cluster has arrived")
		}
	}, run: echo})
	wrong := callee.Peer()
	wrong.Cluster = "another"
	k.unreachable("a peer in another cluster", caller.Dial(wrong), transport.ErrWrongPeer)

	self := k.peer()
	self.Cluster = "another"
	stranger := k.listen(self, nobody{k.t})
	k.unreachable("from another cluster", stranger.Dial(callee.Peer()), transport.ErrWrongPeer)
	k.unreachable("from another cluster, with the right name", stranger.Dial(wrong), transport.ErrWrongPeer)
	k.works("the right one", link)
}

// A node starts again at the same address: links to the one before never reach it.
func testReplacedPeer(k *kit) {
	caller, link, old := k.pair(handler{run: echo})
	k.works("before", link)
	k.close(old)
	peer := old.Peer()
	peer.Incarnation = rand.Text()
	replaced := k.again(peer, handler{accept: func(_ context.Context, c *transport.Call) {
		if c.Method == "Stale" {
			k.t.Error("a call for the old incarnation has arrived")
		}
	}, run: echo})
	k.soon("the link to know", func() bool {
		_, err := ask(k.ctx, link, call("Room-1", "Stale"))
		if !errors.Is(err, object.ErrUnavailable) {
			k.t.Fatalf("a call to an incarnation that is gone: %v", err)
		}
		return errors.Is(err, transport.ErrWrongPeer) && object.Executed(err) == object.ExecutedNo
	})
	k.works("a link to the new one", caller.Dial(replaced.Peer()))
}

func testListenRefusals(k *kit) {
	first := k.listen(k.peer(), handler{run: echo})
	taken := k.peer()
	taken.Address = first.Peer().Address
	for what, self := range map[string]transport.Peer{
		"a taken address": taken,
		"no cluster":      {Address: k.net.Address(), Incarnation: "i"},
		"no address":      {Cluster: "c", Incarnation: "i"},
		"no incarnation":  {Cluster: "c", Address: k.net.Address()},
	} {
		if e, err := k.net.New(k.t).Listen(k.ctx, self, nobody{k.t}); err == nil {
			k.t.Errorf("Listen with %s has succeeded", what)
			k.close(e)
		}
	}
	caller := k.listen(k.peer(), nobody{k.t})
	k.works("the one that was there first", caller.Dial(first.Peer()))
	k.close(first)
	again := k.again(taken, handler{run: echo})
	k.works("a free address again", caller.Dial(again.Peer()))
}

func testPeerGoneBefore(k *kit) {
	caller, link, callee := k.pair(handler{run: echo})
	k.works("before", link)
	k.close(callee)
	k.unreachable("a new link", caller.Dial(callee.Peer()), transport.ErrUnreachable)
	k.soon("the old link to know", func() bool {
		_, err := ask(k.ctx, link, call("Room-1", "Refused"))
		if !errors.Is(err, object.ErrUnavailable) {
			k.t.Fatalf("a call to a peer that is gone: %v", err)
		}
		return object.Executed(err) == object.ExecutedNo
	})
	k.unreachable("the old link", link, transport.ErrUnreachable)
}

func testPeerGone(k *kit) {
	b := newBlocker()
	_, link, callee := k.pair(b)
	done := begin(k.ctx, link, call("Room-1", "Block"))
	comes(k, "the call", b.running)
	k.must(link.Send(k.ctx, call("Room-1", "Block")))
	comes(k, "the one-way call", b.running)
	k.close(callee)
	if live := b.live.Load(); live != 0 {
		k.t.Errorf("%d calls run after Close", live)
	}
	k.failed("a call whose callee is gone", comes(k, "its return", done).err,
		object.CodeUnavailable, object.ExecutedUnknown, transport.ErrBroken)
	for range 2 {
		if err := context.Cause(comes(k, "a call's end", b.ended)); !errors.Is(err, transport.ErrClosed) {
			k.t.Errorf("the cause of a call's end is %v, want ErrClosed", err)
		}
	}
}

// A link is good for as long as its peer is: it connects again by itself.
func testPeerBack(k *kit) {
	_, link, callee := k.pair(handler{run: echo})
	for range 3 {
		k.works("the peer is there", link)
		k.close(callee)
		callee = k.again(callee.Peer(), handler{run: echo})
		k.soon("the link to connect again", func() bool {
			_, err := ask(k.ctx, link, call("Room-1", "Echo"))
			return err == nil
		})
	}
}

func testCallerGone(k *kit) {
	b := newBlocker()
	caller, link, callee := k.pair(b)
	done := begin(k.ctx, link, call("Room-1", "Block"))
	comes(k, "the call", b.running)
	k.close(caller)
	k.failed("a call whose caller closes", comes(k, "its return", done).err,
		object.CodeUnavailable, object.ExecutedUnknown, transport.ErrClosed)
	if err := context.Cause(comes(k, "the end of its context", b.ended)); err == nil || errors.Is(err, transport.ErrClosed) {
		k.t.Errorf("the callee's context ended with %v", err)
	}
	k.unreachable("a link of a closed endpoint", link, transport.ErrClosed)
	late := caller.Dial(callee.Peer())
	k.unreachable("a new link of a closed endpoint", late, transport.ErrClosed)
	late.Close()
	k.close(caller)
	k.works("the callee", k.listen(k.peer(), nobody{k.t}).Dial(callee.Peer()))
}

func testLinkClose(k *kit) {
	b := newBlocker()
	caller, link, callee := k.pair(b)
	other := caller.Dial(callee.Peer())
	done := begin(k.ctx, link, call("Room-1", "Block"))
	comes(k, "the call", b.running)
	undisturbed := begin(k.ctx, other, call("Room-1", "Block"))
	comes(k, "the other link's call", b.running)
	var closing sync.WaitGroup
	for range 3 {
		closing.Go(link.Close)
	}
	closing.Wait()
	k.failed("a call under way", comes(k, "its return", done).err,
		object.CodeUnavailable, object.ExecutedUnknown, transport.ErrClosed)
	if comes(k, "the end of its context", b.ended).Err() == nil {
		k.t.Error("the callee's context has not ended")
	}
	k.unreachable("a closed link", link, transport.ErrClosed)
	link.Close()
	k.works("another link to the same peer", other)
	close(b.let)
	k.must(comes(k, "the other link's call", undisturbed).err)

	unused := caller.Dial(callee.Peer())
	unused.Close()
	k.unreachable("a link closed before its first call", unused, transport.ErrClosed)
}

// Close waits for calls that do not listen, as long as it may.
func testEndpointCloseWaits(k *kit) {
	b := newBlocker()
	b.stubborn = true
	_, link, callee := k.pair(b)
	done := begin(k.ctx, link, call("Room-1", "Block"))
	comes(k, "the call", b.running)
	impatient, cancel := context.WithCancelCause(k.ctx)
	why := errors.New("no more time")
	cancel(why)
	if err := callee.Close(impatient); !errors.Is(err, why) {
		k.t.Errorf("Close with a call running = %v, want the cause of its context's end", err)
	}
	k.failed("a call under way", comes(k, "its return", done).err,
		object.CodeUnavailable, object.ExecutedUnknown, transport.ErrBroken)
	k.refused("a call after Close", k.eventually(link), transport.ErrUnreachable)
	close(b.let)
	k.close(callee)
	if live := b.live.Load(); live != 0 {
		k.t.Errorf("%d calls run after Close", live)
	}
	if err := context.Cause(comes(k, "the call", b.ended)); !errors.Is(err, transport.ErrClosed) {
		k.t.Errorf("the cause of the call's end is %v, want ErrClosed", err)
	}
	k.close(callee)
}

// eventually is the error of a call once it is sure not to run.
func (k *kit) eventually(link transport.Link) (err error) {
	k.t.Helper()
	k.soon("calls to be refused", func() bool {
		_, err = ask(k.ctx, link, call("Room-1", "Echo"))
		return err != nil && object.Executed(err) == object.ExecutedNo
	})
	return err
}

func testDrain(k *kit) {
	b := newBlocker()
	caller, link, callee := k.pair(b)
	outside := k.listen(k.peer(), handler{run: echo})
	out := callee.Dial(outside.Peer())
	done := begin(k.ctx, link, call("Room-1", "Block", 1, 2, 3))
	comes(k, "the call", b.running)
	k.must(link.Send(k.ctx, call("Room-1", "Block")))
	comes(k, "the one-way call", b.running)

	drained := make(chan error, 1)
	go func() { drained <- callee.Drain(k.ctx) }()
	k.refused("a call to one that drains", k.eventually(link), transport.ErrDraining)
	k.refused("a send, when the link knows", link.Send(k.ctx, call("Room-1", "Echo")), transport.ErrDraining)
	_, err := ask(k.ctx, caller.Dial(callee.Peer()), call("Room-1", "Echo"))
	k.failed("a new link to one that drains", err, object.CodeUnavailable, object.ExecutedNo, nil)
	k.works("a link from one that drains", out)
	select {
	case err := <-drained:
		k.t.Errorf("Drain returned with calls running: %v", err)
	default:
	}

	close(b.let)
	k.must(comes(k, "the end of Drain", drained))
	k.close(callee) // loses no reply
	if r := comes(k, "the reply", done); r.err != nil || r.reply.Err != nil || len(r.reply.Body) != 3 {
		k.t.Errorf("a call accepted before Drain = %+v, %v", r.reply, r.err)
	}
	for range 2 {
		if err := context.Cause(comes(k, "a call", b.ended)); errors.Is(err, transport.ErrClosed) {
			k.t.Error("Drain has cancelled a call")
		}
	}
}

func testDrainGivenUp(k *kit) {
	b := newBlocker()
	_, link, callee := k.pair(b)
	done := begin(k.ctx, link, call("Room-1", "Block"))
	comes(k, "the call", b.running)
	impatient, cancel := context.WithCancelCause(k.ctx)
	why := errors.New("no more time")
	cancel(why)
	if err := callee.Drain(impatient); !errors.Is(err, why) {
		k.t.Errorf("Drain with a call running = %v, want the cause of its context's end", err)
	}
	if b.live.Load() != 1 {
		k.t.Error("the call has ended with Drain")
	}
	close(b.let)
	k.must(callee.Drain(k.ctx))
	if r := comes(k, "the reply", done); r.err != nil || r.reply.Err != nil {
		k.t.Errorf("a call that outlived a Drain = %+v, %v", r.reply, r.err)
	}
}
