package goverseclient

// Connected reports whether the session has a stream.
func (c *Client) Connected() bool {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.session.leg != nil
}
