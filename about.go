package neoapi

import (
	"time"

	"neoapi/internal/wire"
)

// Service returns which service the client talks to, in the form of Session.Environment:
// two clients with the same one share what the service tells everybody, such as its scrip
// master.
func (c *Client) Service() string { return c.place }

// Now returns the time by [Config.Clock].
func (c *Client) Now() time.Time { return c.now() }

// Generation returns which generation's calls the client's session makes: 1 after a login
// by password, 2 after one by TOTP with an access token, 3 after one by TOTP with the
// consumer key. Without a session yet it returns 0. The session is that of the [Keeper],
// if the client has one.
func (c *Client) Generation() int {
	kType, found := "", false
	if k := c.keeper.Load(); k != nil {
		if h := k.held.Load(); h != nil {
			kType, found = h.KType, true
		}
	}
	if !found {
		c.mu.Lock()
		if found = c.trade != nil; found {
			kType = c.trade.KType
		}
		c.mu.Unlock()
	}
	if !found {
		return 0
	}
	return c.generation(kType)
}

// GenerationOf returns which generation's calls the client makes with a session, as
// [Client.Generation] does for its own.
func (c *Client) GenerationOf(s Session) int { return c.generation(s.KType) }

func (c *Client) generation(kType string) int {
	switch {
	case kType == "":
		return 1
	case c.at.families&wire.Gen2 != 0:
		return 2
	}
	return 3
}
