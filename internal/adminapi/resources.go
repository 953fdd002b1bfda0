package adminapi

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/operator"
)

// account is an account as an operator sees it: without secrets, and with part of the PAN.
type account struct {
	UCC     string           `json:"ucc"`
	ID      string           `json:"id"`
	UserID  string           `json:"userId"`
	Mobile  string           `json:"mobile"`
	Email   string           `json:"email"`
	PAN     string           `json:"pan"`
	Name    string           `json:"name"`
	MPIN    bool             `json:"mpin"`
	TOTP    bool             `json:"totp"`
	Locked  bool             `json:"locked"`
	Caches  map[string]int64 `json:"caches"`
	Added   time.Time        `json:"added"`
	Version int64            `json:"version"`
}

func shownAccount(r *request, a login.Account) (account, error) {
	pan, err := r.admin.PAN(a)
	return account{
		a.UCC, a.ID, a.UserID, a.Mobile, a.Email, pan, a.GreetingName, a.MPINHash != "", len(a.TOTPSeed) > 0, a.Disabled,
		a.Caches, a.Created.UTC(), a.Version,
	}, err
}

type session struct {
	SID      string            `json:"sid"`
	Kind     login.SessionKind `json:"kind"`
	Consumer string            `json:"consumer"`
	Since    time.Time         `json:"since"`
	Until    time.Time         `json:"until"`
}

type consumer struct {
	Key            string     `json:"key"`
	Name           string     `json:"name"`
	Rate           int        `json:"rate"`
	Allow          []string   `json:"allow"`
	OldSecretUntil *time.Time `json:"oldSecretUntil"`
	Added          time.Time  `json:"added"`
}

func shownConsumer(c login.Consumer) consumer {
	x := consumer{Key: c.Key, Name: c.Name, Rate: c.Rate, Allow: []string{}, Added: c.Created.UTC()}
	for _, network := range c.Allow {
		x.Allow = append(x.Allow, login.Networks{network}.String())
	}
	if !c.OldSecretUntil.IsZero() {
		until := c.OldSecretUntil.UTC()
		x.OldSecretUntil = &until
	}
	return x
}

// page is the most records that one answer lists, and the default.
const page = 1000

func (r *request) limit() (int, error) {
	text := r.query("limit")
	if text == "" {
		return page, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > page {
		return 0, &front.Refusal{Status: http.StatusBadRequest, Detail: "limit: must be a number from 1 to " + strconv.Itoa(page)}
	}
	return n, nil
}

// routes are all routes of the API.
var routes = []route{
	{"GET", "/accounts", 200, func(r *request) (any, error) {
		n, err := r.limit()
		if err != nil {
			return nil, err
		}
		all, err := r.admin.Store.ListAccounts(r.ctx, r.query("after"), n)
		shown := make([]account, len(all))
		for i, a := range all {
			if shown[i], err = shownAccount(r, a); err != nil {
				break
			}
		}
		return map[string]any{"accounts": shown}, err
	}},
	{"POST", "/accounts", 201, func(r *request) (any, error) {
		var n struct {
			UCC, UserID, Mobile, Email, PAN, Name, Password, MPIN string
		}
		if err := r.decode(&n); err != nil {
			return nil, err
		}
		a, err := r.admin.AddAccount(r.ctx, operator.NewAccount{
			UCC: n.UCC, UserID: n.UserID, Mobile: n.Mobile, Reach: login.Reach{Email: n.Email}, PAN: credential.Secret(n.PAN), GreetingName: n.Name,
			Password: credential.Secret(n.Password), MPIN: credential.Secret(n.MPIN),
		})
		if err != nil {
			return nil, err
		}
		return shownAccount(r, a)
	}},
	{"GET", "/accounts/{ucc}", 200, func(r *request) (any, error) {
		a, err := r.account()
		if err != nil {
			return nil, err
		}
		return shownAccount(r, a)
	}},
	{"DELETE", "/accounts/{ucc}", 200, again("ucc", onAccount("account removed", func(r *request, a login.Account) error { return r.admin.RemoveAccount(r.ctx, a) }))},
	{"PUT", "/accounts/{ucc}/password", 200, onAccount("password set", func(r *request, a login.Account) error {
		secret, err := r.secret("password")
		if err != nil {
			return err
		}
		return r.admin.SetPassword(r.ctx, a, secret)
	})},
	{"PUT", "/accounts/{ucc}/mpin", 200, onAccount("MPIN set", func(r *request, a login.Account) error {
		secret, err := r.secret("mpin")
		if err == nil && secret == "" {
			err = &front.Refusal{Status: http.StatusBadRequest, Detail: "mpin: must be six digits"}
		}
		if err != nil {
			return err
		}
		return r.admin.SetMPIN(r.ctx, a, secret)
	})},
	{"DELETE", "/accounts/{ucc}/mpin", 200, onAccount("MPIN removed", func(r *request, a login.Account) error { return r.admin.SetMPIN(r.ctx, a, "") })},
	{"PUT", "/accounts/{ucc}/totp", 200, func(r *request) (any, error) {
		a, err := r.account()
		if err != nil {
			return nil, err
		}
		seed, err := r.admin.EnrolTOTP(r.ctx, a)
		return map[string]string{"seed": string(seed)}, err
	}},
	{"DELETE", "/accounts/{ucc}/totp", 200, onAccount("TOTP removed", func(r *request, a login.Account) error { return r.admin.RemoveTOTP(r.ctx, a) })},
	{"PUT", "/accounts/{ucc}/lock", 200, onAccount("account locked", func(r *request, a login.Account) error { return r.admin.Lock(r.ctx, a) })},
	{"DELETE", "/accounts/{ucc}/lock", 200, onAccount("account unlocked", func(r *request, a login.Account) error { return r.admin.Unlock(r.ctx, a) })},
	{"PUT", "/accounts/{ucc}/caches", 200, onAccount("caches set", func(r *request, a login.Account) error {
		var unix map[string]int64
		if err := r.decode(&unix); err != nil {
			return err
		}
		changed := map[string]time.Time{}
		for name, seconds := range unix {
			changed[name] = time.Unix(seconds, 0)
		}
		return r.admin.SetCaches(r.ctx, a, changed)
	})},
	{"GET", "/accounts/{ucc}/sessions", 200, func(r *request) (any, error) {
		a, err := r.account()
		if err != nil {
			return nil, err
		}
		all, err := r.admin.LiveSessions(r.ctx, a)
		shown := []session{}
		for _, x := range all {
			shown = append(shown, session{x.SID, x.Kind, x.Consumer, x.Issued.UTC(), x.Expires.UTC()})
		}
		return map[string]any{"sessions": shown}, err
	}},
	{"DELETE", "/accounts/{ucc}/sessions", 200, onAccount("sessions revoked", func(r *request, a login.Account) error { return r.admin.Revoke(r.ctx, a, "") })},
	{"DELETE", "/accounts/{ucc}/sessions/{sid}", 200, onAccount("session revoked", func(r *request, a login.Account) error { return r.admin.Revoke(r.ctx, a, r.args[1]) })},
	{"POST", "/accounts/{ucc}/erasure", 200, again("ucc", func(r *request) (any, error) {
		a, err := r.account()
		gone := errors.Is(err, login.ErrNotFound) // perhaps by an interrupted erasure
		if err != nil && !gone {
			return nil, err
		}
		pseudonym, n, err := r.admin.Erase(r.ctx, a)
		if err == nil && gone && n == 0 {
			err = login.ErrNotFound
		}
		return map[string]any{"pseudonym": pseudonym, "events": n}, err
	})},

	{"GET", "/consumers", 200, func(r *request) (any, error) {
		n, err := r.limit()
		if err != nil {
			return nil, err
		}
		all, err := r.admin.Store.ListConsumers(r.ctx, r.query("after"), n)
		shown := []consumer{}
		for _, c := range all {
			shown = append(shown, shownConsumer(c))
		}
		return map[string]any{"consumers": shown}, err
	}},
	{"POST", "/consumers", 201, func(r *request) (any, error) {
		var n struct{ Key, Name string }
		if err := r.decode(&n); err != nil {
			return nil, err
		}
		c, secret, err := r.admin.AddConsumer(r.ctx, n.Key, n.Name, "", 0)
		return map[string]string{"key": c.Key, "secret": string(secret)}, err
	}},
	{"GET", "/consumers/{key}", 200, func(r *request) (any, error) {
		c, err := r.admin.Store.Consumer(r.ctx, r.args[0])
		return shownConsumer(c), err
	}},
	{"DELETE", "/consumers/{key}", 200, again("key", onConsumer("consumer removed", func(r *request, key string) error { return r.admin.RemoveConsumer(r.ctx, key) }))},
	{"POST", "/consumers/{key}/secret", 200, func(r *request) (any, error) {
		n := struct{ Overlap string }{"24h"}
		if err := r.decode(&n); err != nil {
			return nil, err
		}
		overlap, err := time.ParseDuration(n.Overlap)
		if err != nil {
			return nil, &front.Refusal{Status: http.StatusBadRequest, Detail: "overlap: must be a time such as 24h"}
		}
		secret, until, err := r.admin.RotateConsumer(r.ctx, r.args[0], overlap)
		return map[string]any{"secret": string(secret), "oldSecretUntil": until.UTC()}, err
	}},
	{"PUT", "/consumers/{key}/rate", 200, onConsumer("rate set", func(r *request, key string) error {
		var n struct{ Rate *int }
		if err := r.decode(&n); err != nil {
			return err
		}
		if n.Rate == nil || *n.Rate < -1 || *n.Rate > 1_000_000 {
			return &front.Refusal{Status: http.StatusBadRequest, Detail: "rate: must be requests a second, 0 for the service's own, -1 for no limit"}
		}
		return r.admin.SetConsumerRate(r.ctx, key, *n.Rate)
	})},
	{"PUT", "/consumers/{key}/allow", 200, onConsumer("networks set", func(r *request, key string) error {
		var n struct{ Allow []string }
		if err := r.decode(&n); err != nil {
			return err
		}
		if n.Allow == nil { // an empty list allows every address, so it must be explicit
			return &front.Refusal{Status: http.StatusBadRequest, Detail: "allow: must be a list of networks, which is empty for everywhere"}
		}
		var networks login.Networks
		for _, text := range n.Allow {
			some, err := login.ParseNetworks(text)
			if err != nil {
				return &front.Refusal{Status: http.StatusBadRequest, Detail: "allow: " + err.Error()}
			}
			networks = append(networks, some...)
		}
		if len(networks) > login.MaxNetworks {
			return &front.Refusal{Status: http.StatusBadRequest, Detail: "allow: at most " + strconv.Itoa(login.MaxNetworks) + " networks"}
		}
		return r.admin.SetConsumerNetworks(r.ctx, key, networks)
	})},
}
