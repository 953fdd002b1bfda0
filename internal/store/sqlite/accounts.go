package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"neoapi/internal/login"
)

// PutOnce implements [store.Once].
func (s *Store) PutOnce(ctx context.Context, name string, value []byte) (settled []byte, err error) {
	read := func(c *sqlite.Conn) error {
		return one(c, func(r *row) error { settled = r.bytes(); return nil }, `SELECT value FROM settled WHERE name = ?`, name)
	}
	if value == nil {
		if err = s.view(ctx, read); errors.Is(err, login.ErrNotFound) {
			err = nil
		}
		return settled, err
	}
	err = s.updateNow(ctx, func(c *sqlite.Conn) error {
		if err := exec(c, `INSERT INTO settled (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, value); err != nil {
			return err
		}
		return read(c)
	})
	return settled, err
}

// Names implements [store.Once].
func (s *Store) Names(ctx context.Context, prefix string) ([]string, error) {
	name := func(r *row) (string, error) { return r.text(), nil }
	return list(ctx, s, name, `SELECT name FROM settled WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name`, prefix)
}

// Forget implements [store.Once].
func (s *Store) Forget(ctx context.Context, name string, e login.Event) error {
	return s.changeOne(ctx, e, `DELETE FROM settled WHERE name = ?`, name)
}

const accountColumns = `id, ucc, user_id, mobile, email, couriers, pan_index, pan, greeting_name, password_hash, mpin_hash, totp_seed, caches, disabled, created, version`

var accountColumn = map[login.IdentifierKind]string{
	login.ByID: "id", login.ByUCC: "ucc", login.ByUserID: "user_id", login.ByMobile: "mobile", login.ByPAN: "pan_index",
}

func scanAccount(r *row) (login.Account, error) {
	a := login.Account{
		ID: r.text(), UCC: r.text(), UserID: r.text(), Mobile: r.text(),
		Reach:    login.Reach{Email: r.text(), Couriers: login.ParseCouriers(r.text())},
		PANIndex: r.bytes(), PAN: r.bytes(),
		GreetingName: r.text(), PasswordHash: r.text(), MPINHash: r.text(), TOTPSeed: r.bytes(),
	}
	caches := r.text()
	a.Disabled, a.Created, a.Version = r.bool(), r.time(), r.int()
	var err error
	if a.Caches, err = parseCaches(caches); err != nil {
		return login.Account{}, fmt.Errorf("caches of account %s: %w", a.UCC, err)
	}
	return a, nil
}

// parseCaches reads the JSON of an account's caches. What this store writes, an object of
// plain names and numbers, takes a tenth of the time that encoding/json takes.
func parseCaches(text string) (map[string]int64, error) {
	if caches, ok := plainCaches(text); ok {
		return caches, nil
	}
	var caches map[string]int64
	err := json.Unmarshal([]byte(text), &caches)
	return caches, err
}

// plainCaches is parseCaches for JSON without spaces and escapes.
func plainCaches(text string) (caches map[string]int64, ok bool) {
	rest, ok := strings.CutPrefix(text, `{"`)
	if !ok {
		return nil, false
	}
	caches = make(map[string]int64, strings.Count(text, ","))
	for {
		var name, number string
		if name, rest, ok = strings.Cut(rest, `":`); !ok {
			return nil, false
		}
		i := strings.IndexAny(rest, ",}")
		if i < 0 {
			return nil, false
		}
		number, rest = rest[:i], rest[i:]
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || strings.TrimLeft(number, "0+-") != number || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }) {
			return nil, false
		}
		caches[name] = n
		if rest == "}" {
			return caches, true
		}
		if rest, ok = strings.CutPrefix(rest, `,"`); !ok {
			return nil, false
		}
	}
}

// Account implements [login.Directory].
func (s *Store) Account(ctx context.Context, id login.Identifier) (a login.Account, err error) {
	column, ok := accountColumn[id.Kind]
	if !ok {
		return a, fmt.Errorf("accounts are not found by %q", id.Kind)
	}
	var value any = string(id.Value)
	if id.Kind == login.ByPAN {
		value = []byte(id.Value)
	}
	err = s.view(ctx, func(c *sqlite.Conn) (err error) { a, err = oneAccount(c, column, value); return err })
	return a, err
}

// oneAccount returns the account that has a value in a column, or
// login.ErrNotFound.
func oneAccount(c *sqlite.Conn, column string, value any) (a login.Account, err error) {
	err = one(c, func(r *row) (err error) { a, err = scanAccount(r); return err },
		`SELECT `+accountColumns+` FROM accounts WHERE `+column+` = ?`, value)
	return a, err
}

// AddAccount implements [login.Operations].
func (s *Store) AddAccount(ctx context.Context, a login.Account, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		if err := addAccount(c, a); err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

func addAccount(c *sqlite.Conn, a login.Account) error {
	caches, err := json.Marshal(a.Caches)
	if err != nil {
		return err
	}
	err = exec(c, `INSERT INTO accounts (`+accountColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		a.ID, a.UCC, a.UserID, a.Mobile, a.Email, strings.Join(a.Couriers, ","), a.PANIndex, a.PAN, a.GreetingName, a.PasswordHash, a.MPINHash, a.TOTPSeed,
		string(caches), a.Disabled, a.Created, a.Version)
	return exists(err, map[string]string{
		"accounts.ucc": "UCC", "accounts.user_id": "user id", "accounts.mobile": "mobile number", "accounts.pan_index": "PAN", "accounts.id": "id",
	})
}

// SetHash implements [login.Directory].
func (s *Store) SetHash(ctx context.Context, account string, f login.Factor, old, new string) error {
	column := map[login.Factor]string{login.Password: "password_hash", login.MPIN: "mpin_hash"}[f]
	if column == "" {
		return fmt.Errorf("factor %q has no hash", f)
	}
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		return exec(c, `UPDATE accounts SET `+column+` = ? WHERE id = ? AND `+column+` = ?`, new, account, old)
	})
}

// ChangeAccount implements [login.Operations].
func (s *Store) ChangeAccount(ctx context.Context, account string, e login.Event, f func(a *login.Account) (ends bool, err error)) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		a, err := oneAccount(c, "id", account)
		if err != nil {
			return err
		}
		ends, err := f(&a)
		if err != nil {
			return err
		}
		err = exec(c, `UPDATE accounts SET password_hash = ?, mpin_hash = ?, totp_seed = ?, disabled = ?, version = version + 1 WHERE id = ?`,
			a.PasswordHash, a.MPINHash, a.TOTPSeed, a.Disabled, account)
		if err == nil && ends {
			err = endAccount(c, account)
		}
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// SetCaches implements [login.Operations].
func (s *Store) SetCaches(ctx context.Context, account string, caches map[string]int64, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		a, err := oneAccount(c, "id", account)
		if err != nil {
			return err
		}
		if a.Caches == nil {
			a.Caches = map[string]int64{}
		}
		maps.Copy(a.Caches, caches)
		text, err := json.Marshal(a.Caches)
		if err == nil {
			err = exec(c, `UPDATE accounts SET caches = ? WHERE id = ?`, string(text), account)
		}
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// SetReach implements [login.Operations].
func (s *Store) SetReach(ctx context.Context, account string, r login.Reach, e login.Event) error {
	return s.changeOne(ctx, e, `UPDATE accounts SET email = ?, couriers = ? WHERE id = ?`, r.Email, strings.Join(r.Couriers, ","), account)
}

// RemoveAccount implements [login.Operations].
func (s *Store) RemoveAccount(ctx context.Context, account string, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		if err := exec(c, `DELETE FROM accounts WHERE id = ?`, account); err != nil {
			return err
		}
		if err := mustChange(c); err != nil {
			return err
		}
		if err := endAccount(c, account); err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// changeOne changes or deletes one record and stores the event, or returns
// login.ErrNotFound.
func (s *Store) changeOne(ctx context.Context, e login.Event, query string, args ...any) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		if err := exec(c, query, args...); err != nil {
			return err
		}
		if err := mustChange(c); err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// list collects the rows of a query. Reading many ends with the context.
func list[T any](ctx context.Context, s *Store, scan func(*row) (T, error), query string, args ...any) (all []T, err error) {
	err = s.scan(ctx, func(c *sqlite.Conn) error {
		c.SetInterrupt(ctx.Done())
		defer c.SetInterrupt(nil)
		return each(c, func(r *row) error {
			x, err := scan(r)
			all = append(all, x)
			return err
		}, query, args...)
	})
	if err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	return all, nil
}

// ListAccounts implements [login.Directory].
func (s *Store) ListAccounts(ctx context.Context, after string, n int) ([]login.Account, error) {
	return list(ctx, s, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE ucc > ? ORDER BY ucc LIMIT ?`, after, n)
}

const consumerColumns = `key, name, secret_hash, rate, created, old_secret_hash, old_secret_until, incarnation, allow`

func scanConsumer(r *row) (x login.Consumer, err error) {
	x = login.Consumer{
		Key: r.text(), Name: r.text(), SecretHash: r.bytes(), Rate: int(r.int()), Created: r.time(),
		OldSecretHash: r.bytes(), OldSecretUntil: r.time(), Incarnation: r.text(),
	}
	x.Allow, err = login.ParseNetworks(r.text())
	return x, err
}

func oneConsumer(c *sqlite.Conn, key string) (x login.Consumer, err error) {
	err = one(c, func(r *row) (err error) { x, err = scanConsumer(r); return err },
		`SELECT `+consumerColumns+` FROM consumers WHERE key = ?`, key)
	return x, err
}

// Consumer implements [login.Directory].
func (s *Store) Consumer(ctx context.Context, key string) (x login.Consumer, err error) {
	err = s.view(ctx, func(c *sqlite.Conn) (err error) { x, err = oneConsumer(c, key); return err })
	return x, err
}

// AddConsumer implements [login.Operations].
func (s *Store) AddConsumer(ctx context.Context, x login.Consumer, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		err := exec(c, `INSERT INTO consumers (`+consumerColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			x.Key, x.Name, x.SecretHash, x.Rate, x.Created, x.OldSecretHash, x.OldSecretUntil, x.Incarnation, x.Allow.String())
		if err != nil {
			return exists(err, map[string]string{"consumers.key": "consumer key"})
		}
		return addEvent(c, e)
	})
}

// ChangeConsumer implements [login.Operations].
func (s *Store) ChangeConsumer(ctx context.Context, key string, e login.Event, f func(c *login.Consumer) error) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		x, err := oneConsumer(c, key)
		if err != nil {
			return err
		}
		if err := f(&x); err != nil {
			return err
		}
		err = exec(c, `UPDATE consumers SET secret_hash = ?, rate = ?, old_secret_hash = ?, old_secret_until = ?, allow = ? WHERE key = ?`,
			x.SecretHash, x.Rate, x.OldSecretHash, x.OldSecretUntil, x.Allow.String(), key)
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// RemoveConsumer implements [login.Operations]. This ends the consumer's sessions;
// their tokens are revoked for verifiers, which cannot know it.
func (s *Store) RemoveConsumer(ctx context.Context, key string, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		if err := exec(c, `DELETE FROM consumers WHERE key = ?`, key); err != nil {
			return err
		}
		if err := mustChange(c); err != nil {
			return err
		}
		err := exec(c, `INSERT INTO revocations (token_id, expires) SELECT trade_id, expires FROM sessions WHERE consumer = ? AND kind = 'trade'`, key)
		if err == nil {
			err = addClosings(c, `consumer = ?`, key)
		}
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// ListConsumers implements [login.Directory].
func (s *Store) ListConsumers(ctx context.Context, after string, n int) ([]login.Consumer, error) {
	return list(ctx, s, scanConsumer, `SELECT `+consumerColumns+` FROM consumers WHERE key > ? ORDER BY key LIMIT ?`, after, n)
}

// SigningKeys implements [login.Keys].
func (s *Store) SigningKeys(ctx context.Context) ([]login.SigningKey, error) {
	scan := func(r *row) (login.SigningKey, error) {
		return login.SigningKey{ID: r.text(), Sealed: r.bytes(), Created: r.time(), Signs: r.time()}, nil
	}
	return list(ctx, s, scan, `SELECT id, sealed, created, signs FROM signing_keys ORDER BY signs, n`)
}

// AddFirstSigningKey implements [login.Keys].
func (s *Store) AddFirstSigningKey(ctx context.Context, k login.SigningKey) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		return exec(c, `INSERT INTO signing_keys (id, sealed, created, signs) SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM signing_keys)`,
			k.ID, k.Sealed, k.Created, k.Signs)
	})
}

// AddSigningKey implements [login.Keys].
func (s *Store) AddSigningKey(ctx context.Context, k login.SigningKey, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		err := exec(c, `INSERT INTO signing_keys (id, sealed, created, signs) VALUES (?, ?, ?, ?)`, k.ID, k.Sealed, k.Created, k.Signs)
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// RemoveSigningKey implements [login.Keys].
func (s *Store) RemoveSigningKey(ctx context.Context, id string, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		var signing string
		read := func(r *row) error { signing = r.text(); return nil }
		err := one(c, read, `SELECT id FROM signing_keys WHERE signs <= ? ORDER BY signs DESC, n DESC LIMIT 1`, e.Time)
		switch {
		case err != nil && !errors.Is(err, login.ErrNotFound):
			return err
		case signing == id:
			return login.ErrSigns
		}
		if err := exec(c, `DELETE FROM signing_keys WHERE id = ?`, id); err != nil {
			return err
		}
		if err := mustChange(c); err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// Record implements [login.Trail].
func (s *Store) Record(ctx context.Context, e login.Event) error {
	return s.update(ctx, func(c *sqlite.Conn) error { return addEvent(c, e) })
}

// LastEvent implements [login.Trail].
func (s *Store) LastEvent(ctx context.Context) (last time.Time, err error) {
	err = s.view(ctx, func(c *sqlite.Conn) error {
		return each(c, func(r *row) error { last = r.time(); return nil }, `SELECT time FROM events ORDER BY seq DESC LIMIT 1`)
	})
	return last, err
}

const eventColumns = `time, action, outcome, account, ucc, factor, consumer, sid, address, request_id, "by"`

func addEvent(c *sqlite.Conn, e login.Event) error {
	return exec(c, `INSERT INTO events (`+eventColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Time, e.Action, e.Outcome, e.Account, e.UCC, string(e.Factor), e.Consumer, e.SID, e.Address, e.RequestID, e.By)
}

// Events implements [login.Trail].
func (s *Store) Events(ctx context.Context, q login.EventQuery) ([]login.Event, error) {
	scan := func(r *row) (login.Event, error) {
		return login.Event{
			Seq: r.int(), Time: r.time(), Action: r.text(), Outcome: r.text(), Account: r.text(), UCC: r.text(),
			Factor: login.Factor(r.text()), Consumer: r.text(), SID: r.text(), Address: r.text(), RequestID: r.text(), By: r.text(),
		}, nil
	}
	order := `ASC`
	if q.Last {
		order = `DESC`
	}
	// The trail is almost in the order of time: reading begins with the block before the
	// first whose index entry is recent enough.
	all, err := list(ctx, s, scan, `SELECT seq, `+eventColumns+` FROM events
		WHERE seq > max(?1, coalesce((SELECT min(seq) FROM events WHERE seq % 64 = 0 AND time >= ?2), (SELECT max(seq) FROM events), 0) - 128)
		AND time >= ?2 AND (?3 = '' OR ucc = ?3) AND (?4 = 0 OR time < ?4) ORDER BY seq `+order+` LIMIT ?5`, q.After, q.Since, q.UCC, q.Until, q.N)
	if q.Last {
		slices.Reverse(all)
	}
	return all, err
}
