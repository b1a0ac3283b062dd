package goverseclient

// Expected is how many callers are about to run.
func (c *Client) Expected() int { return c.session.company.Expected() }

// Connected reports whether the session has a stream.
func (c *Client) Connected() bool {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.session.leg != nil
}
