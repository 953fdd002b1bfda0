package oms

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/outward"
)

// maxAnswer limits the size of an answer of the OMS.
const maxAnswer = 4 << 10

// A file is the content of the OMS file: see docs/oms.md.
type file struct {
	Homes      []string      `yaml:"homes"`
	URL        string        `yaml:"url"`
	CA         string        `yaml:"ca"`
	Cert       string        `yaml:"cert"`
	Key        string        `yaml:"key"`
	BearerFile string        `yaml:"bearer-file"`
	Timeout    time.Duration `yaml:"timeout"`
	Home       string        `yaml:"home"`
}

// Load reads a file that describes the OMS, built in or remote, and returns all of
// its problems at once. It does not contact the OMS. timeout is how long one call may
// take; 0 for the built-in one.
func Load(path string) (_ login.OMS, timeout time.Duration, err error) {
	var f file
	if _, err := outward.Load(path, &f); err != nil {
		return nil, 0, fmt.Errorf("OMS: %w", err)
	}
	if len(f.Homes) > 0 && f.URL == "" {
		alone := f
		alone.Homes = nil
		homes, err := NewHomes(f.Homes...)
		if alone.CA+alone.Cert+alone.Key+alone.BearerFile+alone.Home != "" || alone.Timeout != 0 {
			err = errors.Join(err, errors.New("OMS: homes cannot be combined with url, ca, cert, key, bearer-file, timeout or home"))
		}
		return homes, 0, err
	}
	outward.Beside(path, &f.CA, &f.Cert, &f.Key, &f.BearerFile)
	r, problems := f.remote()
	if len(f.Homes) > 0 || f.URL == "" {
		problems = append(problems, errors.New("must have either homes or url"))
	}
	for i, err := range problems {
		problems[i] = fmt.Errorf("OMS: %s: %w", path, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, 0, err
	}
	return r, r.timeout, nil
}

// A Remote is an OMS that is called over HTTP. It implements [login.OMS] and is
// safe for concurrent use.
type Remote struct {
	url     *url.URL
	client  *http.Client
	bearer  credential.Secret
	timeout time.Duration
	home    string
	breaker *outward.Breaker
}

var _ login.OMS = (*Remote)(nil)

func (f file) remote() (r *Remote, problems []error) {
	r = &Remote{timeout: f.Timeout, home: cmp.Or(f.Home, "server1"), breaker: outward.NewBreaker(false)}
	if r.timeout == 0 {
		r.timeout = 2 * time.Second
	}
	if r.timeout < 100*time.Millisecond || r.timeout > 10*time.Second {
		problems = append(problems, errors.New("timeout: must be a time from 100ms to 10s"))
	}
	if !nameForm.MatchString(r.home) {
		problems = append(problems, fmt.Errorf("home: %q is not a name of letters, digits, dots, dashes and underscores", f.Home))
	}
	var err error
	if f.URL != "" {
		if r.url, err = outward.URL(f.URL); err != nil {
			problems = append(problems, err)
		} else if r.url.RawQuery != "" {
			problems = append(problems, errors.New("url: must have no query"))
		}
	}
	if (f.Cert == "") == (f.BearerFile == "") {
		problems = append(problems, errors.New("must have either cert and key or bearer-file: the OMS has to know who calls"))
	}
	if f.BearerFile != "" {
		if r.bearer, err = outward.Secret(f.BearerFile); err != nil {
			problems = append(problems, fmt.Errorf("bearer-file: %w", err))
		}
	}
	cfg, err := outward.TLS(f.CA, f.Cert, f.Key)
	if err != nil {
		problems = append(problems, err)
	}
	r.client = outward.Client(cfg)
	return r, problems
}

// Home implements [login.OMS]. Only Open knows the home, but clients of generation 1
// expect one in the view session's answer too: it is the file's, and has no meaning.
func (r *Remote) Home(string) string { return r.home }

// Remote implements [login.OMS].
func (r *Remote) Remote() bool { return true }

// Here implements [login.OMS].
func (r *Remote) Here() bool { return false }

// Health returns why the OMS is not called for a while, or nil.
func (r *Remote) Health() error {
	if r.breaker.Open() {
		return fmt.Errorf("the OMS has failed %d times in a row", outward.Failures)
	}
	return nil
}

// Open implements [login.OMS].
func (r *Remote) Open(ctx context.Context, s login.OMSSession) (home string, err error) {
	body, err := json.Marshal(struct {
		UCC      string    `json:"ucc"`
		Consumer string    `json:"consumer"`
		Expires  time.Time `json:"expires"`
	}{s.UCC, s.Consumer, s.Expires.UTC()})
	if err != nil {
		return "", err
	}
	err = r.call(ctx, http.MethodPut, s.SID, body, func(status int, text []byte) error {
		if status != http.StatusOK && status != http.StatusCreated {
			return refusalOf(status)
		}
		var answer struct {
			Home string `json:"home"`
		}
		if json.Unmarshal(text, &answer) != nil || !nameForm.MatchString(answer.Home) {
			return errors.New(`the OMS did not answer with {"home":"…"}`)
		}
		home = answer.Home
		return nil
	})
	return home, err
}

// Close implements [login.OMS].
func (r *Remote) Close(ctx context.Context, sid string) error {
	return r.call(ctx, http.MethodDelete, sid, nil, func(status int, _ []byte) error {
		switch status {
		case http.StatusOK, http.StatusNoContent, http.StatusNotFound, http.StatusGone:
			return nil
		}
		return refusalOf(status)
	})
}

// refusalOf returns the meaning of a failure status.
func refusalOf(status int) error {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity:
		return fmt.Errorf("the OMS answered %d: %w", status, login.ErrRefused)
	}
	return fmt.Errorf("the OMS answered %d", status)
}

// call makes one call and passes its answer to read.
func (r *Remote) call(ctx context.Context, method, sid string, body []byte, read func(status int, text []byte) error) error {
	return r.breaker.Do(ctx, r.timeout, func(ctx context.Context) error {
		q, err := http.NewRequestWithContext(ctx, method, r.url.JoinPath("sessions", sid).String(), bytes.NewReader(body))
		if err != nil {
			return errors.New("the request cannot be made")
		}
		if body != nil {
			q.Header.Set("Content-Type", "application/json")
		}
		q.Header.Set("Accept", "application/json")
		q.Header.Set("User-Agent", "neo")
		if r.bearer != "" {
			q.Header.Set("Authorization", "Bearer "+string(r.bearer))
		}
		answer, err := r.client.Do(q)
		if err != nil {
			return outward.Cause(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
		switch {
		case err != nil:
			return outward.Cause(err)
		case len(text) > maxAnswer:
			return fmt.Errorf("the OMS answered more than %d bytes", maxAnswer)
		}
		return read(answer.StatusCode, text)
	})
}
