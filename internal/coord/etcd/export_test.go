package etcd

// CurrentEndpoint is the endpoint that the next request uses.
func (s *Store) CurrentEndpoint() string { return s.links[s.current.Load()].endpoint }

// Probing says whether a silent endpoint is being asked for its status.
func (s *Store) Probing() bool {
	for _, l := range s.links {
		l.mu.Lock()
		probing := l.probing
		l.mu.Unlock()
		if probing {
			return true
		}
	}
	return false
}
