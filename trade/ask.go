package trade

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"neoapi"
)

// How long a try of a read may take. Candles and chains are made when they are asked for.
const (
	readLimit = 5 * time.Second
	slowLimit = 20 * time.Second
)

// ask makes a call that the consumer key alone opens. It is repeated once if what failed
// may be over: no answer, one that is not the protocol's, 424, 5xx, and the 400 that means
// that the service could not reach its source.
func (t *Client) ask(ctx context.Context, limit time.Duration, path string, query url.Values, opts []neoapi.CallOption) (json.RawMessage, error) {
	opts = slices.Concat(t.opts, []neoapi.CallOption{neoapi.KeyAlone(), neoapi.AnswerWithin(limit)}, opts)
	once := func() (answer json.RawMessage, err error) {
		err = t.api.Do(ctx, http.MethodGet, path, query, &answer, opts...)
		return answer, err
	}
	answer, err := once()
	if !passing(err) || ctx.Err() != nil {
		return answer, err
	}
	if answer, err = once(); upstream(err) {
		fail, _ := errors.AsType[*neoapi.Error](err)
		temporary := *fail
		temporary.Category, temporary.Retry, temporary.Hint = neoapi.ErrUnavailable, neoapi.RetryLater, ""
		err = &temporary
	}
	return answer, err
}

// passing reports whether a read that failed may succeed at once.
func passing(err error) bool {
	fail, ok := errors.AsType[*neoapi.Error](err)
	if !ok {
		return false
	}
	switch {
	case fail.Status == http.StatusFailedDependency, fail.Status >= 500, upstream(err):
		return true
	case fail.Status == 0, fail.Category == neoapi.ErrBadAnswer && fail.Answer != "":
		return fail.Sent
	}
	return false
}

// upstream reports whether an answer has status 400 and says that the service failed
// itself.
func upstream(err error) bool {
	fail, ok := errors.AsType[*neoapi.Error](err)
	return ok && fail.Status == http.StatusBadRequest && strings.Contains(strings.ToLower(fail.Message+fail.Answer), "upstream")
}
