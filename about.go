package neoapi

import "time"

// Service returns which service the client talks to, in the form of Session.Environment:
// two clients with the same one share what the service tells everybody, such as its scrip
// master.
func (c *Client) Service() string { return c.place }

// Now returns the time by [Config.Clock].
func (c *Client) Now() time.Time { return c.now() }
