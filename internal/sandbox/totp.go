package sandbox

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/front"
	"neoapi/internal/login"
)

// totpPath leads to the authenticators.
const totpPath = "/sandbox/totp/"

// totpPage returns the present code of an account's authenticator as plain text. A code
// works once: one that was used is not shown again, and the next one can be waited for.
func (s *Sandbox) totpPage(r *http.Request, _ map[string]any) (front.Answer, error) {
	id, wait, err := s.asked(r, totpPath)
	if err != nil {
		return front.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	for {
		code, next, err := s.unusedTOTP(context.WithoutCancel(ctx), id)
		if err != nil {
			return front.Answer{}, err
		}
		if code != "" {
			return front.Answer{Status: http.StatusOK, Body: front.Raw{Type: front.PlainText, Text: []byte(code)}}, nil
		}
		used := &front.Refusal{Status: http.StatusNotFound, Detail: "the present code of this account was used, and works once: the next one comes within 30 seconds; wait for it with ?wait=31s"}
		select {
		case <-time.After(min(next, lookAgain)): // the clock may be moved meanwhile
		case <-s.Inbox.done():
			return front.Answer{}, used
		case <-ctx.Done():
			return front.Answer{}, used
		}
	}
}

// lookAgain is how long a moved clock may go unnoticed.
const lookAgain = 200 * time.Millisecond

// unusedTOTP returns the present code of an account, or "" if it was used, and how long it
// is present.
func (s *Sandbox) unusedTOTP(ctx context.Context, id login.Identifier) (code credential.Secret, next time.Duration, err error) {
	a, err := s.Directory.Account(ctx, id)
	switch {
	case errors.Is(err, login.ErrNotFound): // it was removed while this waited
		return "", 0, nobody()
	case err != nil:
		return "", 0, login.StoreFault(err)
	case len(a.TOTPSeed) == 0:
		return "", 0, &front.Refusal{Status: http.StatusNotFound, Detail: "this account has no authenticator: neo account enrol-totp gives it one"}
	}
	state, err := s.Allowances.State(ctx, a.ID)
	if err != nil {
		return "", 0, login.StoreFault(err)
	}
	seed, err := s.Vault.Open(credential.PurposeTOTP, a.ID, a.TOTPSeed)
	if err != nil {
		return "", 0, err
	}
	now := s.Now()
	step := credential.TOTPStep(now)
	next = time.Unix((step+1)*int64(credential.TOTPPeriod/time.Second), 0).Sub(now)
	if state.UseTOTPStep(step, now) != nil { // of this copy
		return "", next, nil
	}
	code, err = credential.TOTPCode(seed, step)
	return code, next, err
}

// asked returns whose page below a path is asked for, and how long the answer may take.
func (s *Sandbox) asked(r *http.Request, below string) (id login.Identifier, wait time.Duration, err error) {
	if id, err = login.ParseIdentifier(login.ByUCC, strings.TrimPrefix(r.URL.Path, below)); err != nil {
		return id, 0, err
	}
	if text := r.URL.Query().Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > maxWait {
			return id, 0, login.Invalid("wait", "must be a time up to "+maxWait.String()+", such as 5s")
		}
	}
	_, err = s.known(r.Context(), string(id.Value))
	return id, wait, err
}
