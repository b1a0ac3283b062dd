package client

// Secrets returns how many client_ids the service takes.
func (s *Service) Secrets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byHash)
}

// Waiting returns how many sessions have no stream.
func (s *Service) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.detached.len()
}

// Kept returns how many bytes sessions without a stream keep.
func (s *Service) Kept() int { return int(s.kept.Load()) }
