package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
)

// PutOnce implements [store.Once].
func (s *Store) PutOnce(ctx context.Context, name string, value []byte) (settled []byte, err error) {
	if value != nil {
		_, err := s.write(ctx, statement{`INSERT INTO settled (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, []any{name, value}})
		if err != nil {
			return nil, err
		}
	}
	err = s.read(ctx, []any{&settled}, `SELECT value FROM settled WHERE name = $1`, name)
	if errors.Is(err, login.ErrNotFound) {
		err = nil
	}
	return settled, err
}

// Names implements [store.Once].
func (s *Store) Names(ctx context.Context, prefix string) ([]string, error) {
	return list(ctx, s, func(name *string) []any { return []any{name} }, `SELECT name FROM settled WHERE starts_with(name, $1) ORDER BY name`, prefix)
}

// Forget implements [store.Once].
func (s *Store) Forget(ctx context.Context, name string, e login.Event) error {
	return s.mustChange(ctx, recordIf(`DELETE FROM settled WHERE name = $1`, e, name))
}

const accountColumns = `id, ucc, user_id, mobile, email, couriers, pan_index, pan, greeting_name, password_hash, mpin_hash, totp_seed, caches, disabled, created, version`

var accountColumn = map[login.IdentifierKind]string{
	login.ByID: "id", login.ByUCC: "ucc", login.ByUserID: "user_id", login.ByMobile: "mobile", login.ByPAN: "pan_index",
}

func columnsOfAccount(a *login.Account) []any {
	return []any{
		&a.ID, &a.UCC, &a.UserID, &a.Mobile, &a.Email, &a.Couriers, &a.PANIndex, &a.PAN, &a.GreetingName, &a.PasswordHash, &a.MPINHash, &a.TOTPSeed,
		&a.Caches, &a.Disabled, when{&a.Created}, &a.Version,
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
		value = some([]byte(id.Value))
	}
	err = s.read(ctx, columnsOfAccount(&a), `SELECT `+accountColumns+` FROM accounts WHERE `+column+` = $1`, value)
	return a, err
}

// AddAccount implements [login.Operations].
func (s *Store) AddAccount(ctx context.Context, a login.Account, e login.Event) error {
	_, err := s.write(ctx, statement{`INSERT INTO accounts (` + accountColumns + `) VALUES (` + marks(1, 16) + `)`, valuesOfAccount(&a)}, record(e))
	return exists(err, map[string]string{
		"accounts_ucc_key": "UCC", "accounts_user_id_key": "user id", "accounts_mobile_key": "mobile number",
		"accounts_pan_index_key": "PAN", "accounts_pkey": "id",
	})
}

func valuesOfAccount(a *login.Account) []any {
	caches := a.Caches
	if caches == nil {
		caches = map[string]int64{}
	}
	return []any{
		a.ID, a.UCC, a.UserID, a.Mobile, a.Email, a.Couriers, some(a.PANIndex), some(a.PAN), a.GreetingName, a.PasswordHash, a.MPINHash, some(a.TOTPSeed),
		caches, a.Disabled, when{&a.Created}, a.Version,
	}
}

// marks returns the placeholders of n arguments: "$1, $2".
func marks(first, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(all, ", ")
}

// SetHash implements [login.Directory].
func (s *Store) SetHash(ctx context.Context, account string, f login.Factor, old, new string) error {
	column := map[login.Factor]string{login.Password: "password_hash", login.MPIN: "mpin_hash"}[f]
	if column == "" {
		return fmt.Errorf("factor %q has no hash", f)
	}
	_, err := s.write(ctx, statement{
		`UPDATE accounts SET ` + column + ` = $1 WHERE id = $2 AND ` + column + ` = $3`, []any{new, account, old},
	})
	return err
}

// same finds an account as it was loaded: hashes are made stronger by logins, which
// raise no version.
const same = `id = $%d AND version = $%d AND password_hash = $%d AND mpin_hash = $%d`

// ChangeAccount implements [login.Operations].
func (s *Store) ChangeAccount(ctx context.Context, account string, e login.Event, f func(a *login.Account) (ends bool, err error)) error {
	for {
		a, err := s.Account(ctx, login.Identifier{Kind: login.ByID, Value: credential.Secret(account)})
		if err != nil {
			return err
		}
		before := a
		ends, err := f(&a)
		if err != nil {
			return err
		}
		all := []statement{recordIf(`UPDATE accounts SET password_hash = $1, mpin_hash = $2, totp_seed = $3, disabled = $4,
			version = version + 1 WHERE `+fmt.Sprintf(same, 5, 6, 7, 8), e,
			a.PasswordHash, a.MPINHash, some(a.TOTPSeed), a.Disabled, account, before.Version, before.PasswordHash, before.MPINHash)}
		if ends { // from the first look at the account on nobody else changes it
			still := `account = $1 AND EXISTS (SELECT FROM accounts WHERE ` + fmt.Sprintf(same, 1, 2, 3, 4) + ` FOR UPDATE)`
			args := []any{account, before.Version, before.PasswordHash, before.MPINHash}
			all = append([]statement{hold(account), closings(still, args...), {`DELETE FROM sessions WHERE ` + still, args}}, all...)
		}
		if changed, err := s.write(ctx, all...); err != nil || changed > 0 {
			return err
		} // else somebody was first
	}
}

// SetCaches implements [login.Operations].
func (s *Store) SetCaches(ctx context.Context, account string, caches map[string]int64, e login.Event) error {
	return s.mustChange(ctx, recordIf(`UPDATE accounts SET caches = caches || $1::jsonb WHERE id = $2`, e, caches, account))
}

// SetReach implements [login.Operations].
func (s *Store) SetReach(ctx context.Context, account string, r login.Reach, e login.Event) error {
	return s.mustChange(ctx, recordIf(`UPDATE accounts SET email = $2, couriers = $3 WHERE id = $1`, e, account, r.Email, r.Couriers))
}

// RemoveAccount implements [login.Operations].
func (s *Store) RemoveAccount(ctx context.Context, account string, e login.Event) error {
	return s.mustChange(ctx, hold(account),
		closings(`account = $1 AND EXISTS (SELECT FROM accounts WHERE id = $1)`, account),
		statement{`DELETE FROM sessions WHERE account = $1 AND EXISTS (SELECT FROM accounts WHERE id = $1)`, []any{account}},
		recordIf(`DELETE FROM accounts WHERE id = $1`, e, account))
}

// recordIf is a statement that changes or deletes one record and stores the event,
// or does neither if the record is not there. The event's arguments come behind those
// of the query.
func recordIf(query string, e login.Event, args ...any) statement {
	return statement{
		`WITH changed AS (` + query + ` RETURNING 1)
		INSERT INTO events (` + eventColumns + `) SELECT ` + eventMarks(len(args)+1) + ` FROM changed`, append(args, eventArgs(&e)...),
	}
}

// ListAccounts implements [login.Directory].
func (s *Store) ListAccounts(ctx context.Context, after string, n int) ([]login.Account, error) {
	return list(ctx, s, columnsOfAccount, `SELECT `+accountColumns+` FROM accounts WHERE ucc > $1 ORDER BY ucc LIMIT $2`, after, n)
}

const consumerColumns = `key, name, secret_hash, rate, created, old_secret_hash, old_secret_until, incarnation, allow`

func columnsOfConsumer(x *login.Consumer) []any {
	return []any{&x.Key, &x.Name, &x.SecretHash, &x.Rate, when{&x.Created}, &x.OldSecretHash, when{&x.OldSecretUntil}, &x.Incarnation, networks{&x.Allow}}
}

// Consumer implements [login.Directory].
func (s *Store) Consumer(ctx context.Context, key string) (x login.Consumer, err error) {
	err = s.read(ctx, columnsOfConsumer(&x), `SELECT `+consumerColumns+` FROM consumers WHERE key = $1`, key)
	return x, err
}

// AddConsumer implements [login.Operations].
func (s *Store) AddConsumer(ctx context.Context, x login.Consumer, e login.Event) error {
	_, err := s.write(ctx,
		statement{`INSERT INTO consumers (` + consumerColumns + `) VALUES (` + marks(1, 9) + `)`, []any{
			x.Key, x.Name, some(x.SecretHash), x.Rate, when{&x.Created}, some(x.OldSecretHash), when{&x.OldSecretUntil}, x.Incarnation,
			x.Allow.String(),
		}},
		record(e))
	return exists(err, map[string]string{"consumers_pkey": "consumer key"})
}

// ChangeConsumer implements [login.Operations].
func (s *Store) ChangeConsumer(ctx context.Context, key string, e login.Event, f func(c *login.Consumer) error) error {
	return s.do(ctx, within, func(ctx context.Context, c *conn) error {
		var x login.Consumer
		var version int64
		err := one(ctx, c, append(columnsOfConsumer(&x), &version), `SELECT `+consumerColumns+`, version FROM consumers WHERE key = $1`, key)
		if err != nil {
			return err
		}
		if err := f(&x); err != nil {
			return err
		}
		change := recordIf(`UPDATE consumers SET secret_hash = $1, rate = $2, old_secret_hash = $3, old_secret_until = $4, allow = $5,
			version = version + 1 WHERE key = $6 AND version = $7`, e,
			some(x.SecretHash), x.Rate, some(x.OldSecretHash), when{&x.OldSecretUntil}, x.Allow.String(), key, version)
		return changeOne(ctx, c, change.query, change.args...)
	})
}

// RemoveConsumer implements [login.Operations]. The consumer's sessions have ended by
// that; their tokens are revoked, for those who cannot know it. The second
// lock is that of the trigger on sessions.
func (s *Store) RemoveConsumer(ctx context.Context, key string, e login.Event) error {
	return s.mustChange(ctx,
		statement{`SELECT pg_advisory_xact_lock($1)`, []any{standing}},
		statement{`SELECT pg_advisory_xact_lock($1)`, []any{revoking}},
		statement{`INSERT INTO revocations (token_id, expires) SELECT trade_id, expires FROM sessions
			WHERE consumer = $1 AND kind = 'trade' AND expires IS NOT NULL AND EXISTS (SELECT FROM consumers WHERE key = $1)`, []any{key}},
		closings(`consumer = $1 AND EXISTS (SELECT FROM consumers WHERE key = $1)`, key),
		recordIf(`DELETE FROM consumers WHERE key = $1`, e, key))
}

// ListConsumers implements [login.Directory].
func (s *Store) ListConsumers(ctx context.Context, after string, n int) ([]login.Consumer, error) {
	return list(ctx, s, columnsOfConsumer,
		`SELECT `+consumerColumns+` FROM consumers WHERE key > $1 ORDER BY key LIMIT $2`, after, n)
}

// SigningKeys implements [login.Keys].
func (s *Store) SigningKeys(ctx context.Context) ([]login.SigningKey, error) {
	columns := func(k *login.SigningKey) []any { return []any{&k.ID, &k.Sealed, when{&k.Created}, when{&k.Signs}} }
	return list(ctx, s, columns, `SELECT id, sealed, created, signs FROM signing_keys ORDER BY signs NULLS FIRST, n`)
}

// AddFirstSigningKey implements [login.Keys]. The first key is number 1, so
// that of two that are added at once one gives way.
func (s *Store) AddFirstSigningKey(ctx context.Context, k login.SigningKey) error {
	_, err := s.write(ctx, statement{
		`INSERT INTO signing_keys (n, id, sealed, created, signs) SELECT 1, $1, $2, $3, $4
		WHERE NOT EXISTS (SELECT FROM signing_keys) ON CONFLICT DO NOTHING`,
		[]any{k.ID, k.Sealed, when{&k.Created}, when{&k.Signs}},
	})
	return err
}

// AddSigningKey implements [login.Keys]. Of two that would get the same number
// one begins again.
func (s *Store) AddSigningKey(ctx context.Context, k login.SigningKey, e login.Event) error {
	return s.do(ctx, within, func(ctx context.Context, c *conn) error {
		add := recordIf(`INSERT INTO signing_keys (n, id, sealed, created, signs)
			SELECT coalesce(max(n), 0) + 1, $1, $2::bytea, $3::timestamptz, $4::timestamptz FROM signing_keys ON CONFLICT (n) DO NOTHING`,
			e, k.ID, k.Sealed, when{&k.Created}, when{&k.Signs})
		return changeOne(ctx, c, add.query, add.args...)
	})
}

// RemoveSigningKey implements [login.Keys]. Others wait until it is done: none
// removes a key because of one that is being removed.
func (s *Store) RemoveSigningKey(ctx context.Context, id string, e login.Event) error {
	err := s.mustChange(ctx, statement{`SELECT pg_advisory_xact_lock($1)`, []any{removing}},
		recordIf(`DELETE FROM signing_keys WHERE id = $1 AND n IS DISTINCT FROM
			(SELECT n FROM signing_keys WHERE signs <= $2 ORDER BY signs DESC, n DESC LIMIT 1)`, e, id, when{&e.Time}))
	if errors.Is(err, login.ErrNotFound) {
		var n int64
		if err := s.read(ctx, []any{&n}, `SELECT n FROM signing_keys WHERE id = $1`, id); err != nil {
			return err
		}
		return login.ErrSigns
	}
	return err
}

const eventColumns = `time, action, outcome, account, ucc, factor, consumer, sid, address, request_id, "by"`

func eventArgs(e *login.Event) []any {
	return []any{
		when{&e.Time}, e.Action, e.Outcome, e.Account, e.UCC, string(e.Factor), e.Consumer, e.SID, e.Address, e.RequestID, e.By,
	}
}

// eventMarks returns the placeholders of eventArgs.
func eventMarks(first int) string { return marks(first, 11) }

// record stores an event.
func record(e login.Event) statement {
	return statement{`INSERT INTO events (` + eventColumns + `) VALUES (` + eventMarks(1) + `)`, eventArgs(&e)}
}

// Record implements [login.Trail].
func (s *Store) Record(ctx context.Context, e login.Event) error {
	_, err := s.write(ctx, record(e))
	return err
}

// Clock returns the time by the database server's clock.
func (s *Store) Clock(ctx context.Context) (now time.Time, err error) {
	err = s.read(ctx, []any{when{&now}}, `SELECT clock_timestamp()`)
	return now, err
}

// LastEvent implements [login.Trail].
func (s *Store) LastEvent(ctx context.Context) (last time.Time, err error) {
	err = s.read(ctx, []any{when{&last}}, `SELECT (SELECT time FROM events ORDER BY seq DESC LIMIT 1)`)
	return last, err
}

// Events implements [login.Trail].
func (s *Store) Events(ctx context.Context, q login.EventQuery) ([]login.Event, error) {
	columns := func(e *login.Event) []any {
		return []any{
			&e.Seq, when{&e.Time}, &e.Action, &e.Outcome, &e.Account, &e.UCC, &e.Factor, &e.Consumer, &e.SID, &e.Address, &e.RequestID, &e.By,
		}
	}
	query, args := `SELECT seq, `+eventColumns+` FROM events WHERE seq > $1`, []any{q.After}
	add := func(condition string, arg any) {
		args = append(args, arg)
		query += fmt.Sprintf(condition, len(args))
	}
	if q.UCC != "" {
		add(` AND ucc = $%d`, q.UCC)
	}
	if !q.Since.IsZero() {
		add(` AND time >= $%d`, q.Since)
	}
	if !q.Until.IsZero() {
		add(` AND time < $%d`, q.Until)
	}
	if !q.Last {
		add(` ORDER BY seq LIMIT $%d`, q.N)
		return list(ctx, s, columns, query, args...)
	}
	add(` ORDER BY seq DESC LIMIT $%d`, q.N)
	all, err := list(ctx, s, columns, query, args...)
	slices.Reverse(all)
	return all, err
}
