package httpapi

import "neoapi/internal/login"

// Rows is each kind of refusal's row in the table of codes.
var Rows = failures

// Kinds is how many kinds of refusal there are.
const Kinds = int(login.KindNotConfigured) + 1

// Own tells whether an address is the service's own and not the trade API's.
func Own(path string) bool { return isOwnPath(path) }

// StreamsAtOnce is how many streams a session may have.
const StreamsAtOnce = streamsAtOnce

// Passing reports whether a header of a client goes to the trade API.
func Passing(name string) bool { return passing[name] }

// PassingHeaders is how many there are.
var PassingHeaders = len(passing)
