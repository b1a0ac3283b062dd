package grpc

import "sync"

// idleWorkers bounds how many goroutines wait for a call to run.
const idleWorkers = 1024

// workers runs calls on goroutines that have run others before: their stacks have grown already.
type workers struct {
	wg sync.WaitGroup // all of them

	mu     sync.Mutex // guards the fields below
	idle   []*worker  // the last one was the last to work
	fewest int        // idle ones since the last trim
	closed bool
}

// worker is a goroutine that waits for tasks.
type worker struct {
	tasks chan *served // capacity 1; closed when there will be none
}

// run has a task run on a goroutine of its own.
func (p *workers) run(task *served) {
	p.mu.Lock()
	n := len(p.idle)
	if n == 0 {
		p.mu.Unlock()
		w := &worker{tasks: make(chan *served, 1)}
		w.tasks <- task
		p.wg.Go(func() { p.work(w) })
		return
	}
	w := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	p.fewest = min(p.fewest, n-1)
	p.mu.Unlock()
	w.tasks <- task
}

// work is a worker. A task may end its goroutine.
func (p *workers) work(w *worker) {
	for task := range w.tasks {
		task.run()
		if !p.rest(w) {
			return
		}
	}
}

// rest makes a worker wait for its next task; false if there are enough that do.
func (p *workers) rest(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= idleWorkers {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// trim lets go of those who had nothing to do since the last time.
func (p *workers) trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle[:p.fewest] {
		close(w.tasks)
	}
	p.idle = append(p.idle[:0:0], p.idle[p.fewest:]...)
	p.fewest = len(p.idle)
}

// close lets go of all, now or when they have ended their task. No more may be run.
func (p *workers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.idle {
		close(w.tasks)
	}
	p.idle, p.fewest = nil, 0
}
