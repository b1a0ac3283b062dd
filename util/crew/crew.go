// Package crew runs many tasks, most of them short, on few goroutines, and lets none wait for another to end.
//
// A goroutine for each task costs two switches per task, which is more than most tasks take. Here one worker runs task
// after task. That a task may block, for ever even, is what the rule is for: a worker that takes a task while others
// are left first sees to it that another worker is awake. So tasks begin in the order in which they came, each as
// soon as a processor is free, however long those before it take; only where they are short is it one worker that runs
// them all.
//
// A crew owns its workers. They wait for more to do when they have nothing; [Crew.Trim] lets go of those that have
// waited for long, [Crew.Close] and [Crew.Wait] of all. All methods may be used concurrently.
package crew

import "sync"

// DefaultIdle is how many workers may wait for something to do, where [New] is not told. Those of all tasks that block at
// once should find room, as a rule: the stack of a new worker has to grow, which takes as long as a short task. With 8 KiB of
// stack each, as calls have, they keep 32 MiB at most, until the next [Crew.Trim] but one.
const DefaultIdle = 4096

// Crew runs tasks of one kind. Use [New].
type Crew[T any] struct {
	run  func(T)
	most int            // idle workers
	all  sync.WaitGroup // the workers

	mu     sync.Mutex // guards the fields below
	tasks  []T        // that have not begun, from next on
	next   int
	waking bool      // a worker was woken and has not looked yet
	idle   []*worker // the last one was the last to work
	fewest int       // idle ones since the last Trim
	closed bool
}

// worker is a goroutine that waits for tasks.
type worker struct{ wake chan bool } // capacity 1: there may be a task; closed: there is nothing to do any more

// New is a crew without workers. Each task is run by run, which may end its goroutine but must not panic. At most idle
// workers, [DefaultIdle] if that is not positive, are kept while they have nothing to do.
func New[T any](run func(T), idle int) *Crew[T] {
	if idle <= 0 {
		idle = DefaultIdle
	}
	return &Crew[T]{run: run, most: idle}
}

// Go has tasks run, and does not wait for them. They begin one after the other and run beside each other.
func (c *Crew[T]) Go(tasks ...T) {
	if len(tasks) == 0 {
		return
	}
	c.mu.Lock()
	c.tasks = append(c.tasks, tasks...)
	w, add := c.wakeLocked()
	c.mu.Unlock()
	c.awaken(w, add)
}

// wakeLocked sees to it that a worker will look for tasks: it returns one to awaken, or says that there is to be one
// more, unless one is awake and has not looked yet.
func (c *Crew[T]) wakeLocked() (w *worker, add bool) {
	if c.waking {
		return nil, false
	}
	c.waking = true
	n := len(c.idle)
	if n == 0 {
		return nil, true
	}
	w = c.idle[n-1]
	c.idle[n-1] = nil
	c.idle = c.idle[:n-1]
	c.fewest = min(c.fewest, n-1)
	return w, false
}

// awaken does what wakeLocked said.
func (c *Crew[T]) awaken(w *worker, add bool) {
	switch {
	case w != nil:
		w.wake <- true
	case add:
		w = &worker{wake: make(chan bool, 1)}
		c.all.Go(func() { c.work(w) })
	}
}

// work is a worker, which has been woken.
func (c *Crew[T]) work(w *worker) {
	c.mu.Lock()
	c.waking = false
	for {
		t, ok := c.takeLocked()
		if !ok {
			rests := c.restLocked(w)
			c.mu.Unlock()
			if !rests || !<-w.wake {
				return
			}
			c.mu.Lock()
			c.waking = false
			continue
		}
		var other *worker
		var add bool
		if c.next < len(c.tasks) {
			other, add = c.wakeLocked()
		}
		c.mu.Unlock()
		c.awaken(other, add)
		c.run(t)
		c.mu.Lock()
	}
}

// takeLocked takes the first task, if there is one.
func (c *Crew[T]) takeLocked() (t T, ok bool) {
	if c.next == len(c.tasks) {
		return t, false
	}
	var none T
	t, c.tasks[c.next] = c.tasks[c.next], none
	c.next++
	switch {
	case c.next == len(c.tasks) && cap(c.tasks) <= keep:
		c.tasks, c.next = c.tasks[:0], 0
	case c.next == len(c.tasks): // a burst keeps no memory for ever
		c.tasks, c.next = nil, 0
	case c.next >= keep && c.next > len(c.tasks)/2:
		n := copy(c.tasks, c.tasks[c.next:])
		clear(c.tasks[n:])
		c.tasks, c.next = c.tasks[:n], 0
	}
	return t, true
}

// keep is how many places for tasks stay when there are none.
const keep = 1024

// restLocked makes a worker wait; false if there are enough that do.
func (c *Crew[T]) restLocked(w *worker) bool {
	if c.closed || len(c.idle) >= c.most {
		return false
	}
	c.idle = append(c.idle, w)
	return true
}

// Trim lets go of the workers that have had nothing to do since the last time. It is for who has a clock.
func (c *Crew[T]) Trim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.idle[:c.fewest] {
		close(w.wake)
	}
	c.idle = append(c.idle[:0:0], c.idle[c.fewest:]...)
	c.fewest = len(c.idle)
}

// Close lets go of all workers: those that have nothing to do now, the others when all tasks have begun and their own
// has ended. Tasks that come later run as before, but nobody waits for more. It may be called again.
func (c *Crew[T]) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, w := range c.idle {
		close(w.wake)
	}
	c.idle, c.fewest = nil, 0
}

// Wait returns when no worker is left. It is to be called after Close, when no more tasks come.
func (c *Crew[T]) Wait() { c.all.Wait() }
