package httpapi

import (
	"maps"
	"slices"

	"neoapi/internal/login"
)

// Rows is each kind of refusal's row in the table of codes.
var Rows = failures

// Kinds is how many kinds of refusal there are.
const Kinds = int(login.KindNotConfigured) + 1

// Own tells whether an address is the service's own and not the trade API's.
func Own(path string) bool { return isOwnPath(path) }

// StreamsAtOnce is how many streams a session may have.
const StreamsAtOnce = streamsAtOnce

// PassingHeaders are the headers of a client that go to the trade API, with those of a
// WebSocket.
var PassingHeaders = slices.Concat(slices.Collect(maps.Keys(passing)), ofWebSocket)
