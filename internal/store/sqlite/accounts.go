package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"neoapi/internal/login"
)

const accountColumns = `id, ucc, user_id, mobile, pan_index, pan, greeting_name, password_hash, mpin_hash, totp_seed, caches, disabled, created`

var accountColumn = map[login.IdentifierKind]string{
	login.ByID: "id", login.ByUCC: "ucc", login.ByUserID: "user_id", login.ByMobile: "mobile", login.ByPAN: "pan_index",
}

// scanner is what *sql.Row and *sql.Rows share.
type scanner interface{ Scan(dest ...any) error }

func scanAccount(row scanner) (login.Account, error) {
	var a login.Account
	var caches string
	var created int64
	err := row.Scan(&a.ID, &a.UCC, &a.UserID, &a.Mobile, &a.PANIndex, &a.PAN, &a.GreetingName, &a.PasswordHash,
		&a.MPINHash, &a.TOTPSeed, &caches, &a.Disabled, &created)
	if err != nil {
		return login.Account{}, notFound(err)
	}
	a.Created = fromMillis(created)
	if err := json.Unmarshal([]byte(caches), &a.Caches); err != nil {
		return login.Account{}, fmt.Errorf("caches of account %s: %w", a.UCC, err)
	}
	return a, nil
}

// Account implements [login.Accounts].
func (s *Store) Account(ctx context.Context, id login.Identifier) (login.Account, error) {
	stmt, ok := s.stmts.account[id.Kind]
	if !ok {
		return login.Account{}, fmt.Errorf("accounts are not found by %q", id.Kind)
	}
	var value any = string(id.Value)
	if id.Kind == login.ByPAN {
		value = []byte(id.Value)
	}
	return scanAccount(stmt.QueryRowContext(ctx, value))
}

// AddAccount implements [login.Accounts].
func (s *Store) AddAccount(ctx context.Context, a login.Account, e login.Event) error {
	caches, err := json.Marshal(a.Caches)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, s.stmts.addAccount).ExecContext(ctx,
			a.ID, a.UCC, a.UserID, a.Mobile, a.PANIndex, a.PAN, a.GreetingName, a.PasswordHash, a.MPINHash, a.TOTPSeed,
			string(caches), a.Disabled, millis(a.Created))
		if err != nil {
			return exists(err, "accounts", map[string]string{"ucc": "UCC", "user_id": "user id", "mobile": "mobile number", "pan_index": "PAN", "id": "id"})
		}
		return s.addEvent(ctx, tx, e)
	})
}

// SetHash implements [login.Accounts].
func (s *Store) SetHash(ctx context.Context, account string, f login.Factor, old, new string) error {
	column := map[login.Factor]string{login.Password: "password_hash", login.MPIN: "mpin_hash"}[f]
	if column == "" {
		return fmt.Errorf("factor %q has no hash", f)
	}
	_, err := s.write.ExecContext(ctx, `UPDATE accounts SET `+column+` = ? WHERE id = ? AND `+column+` = ?`, new, account, old)
	return err
}

// RemoveAccount implements [login.Accounts].
func (s *Store) RemoveAccount(ctx context.Context, account string, e login.Event) error {
	return s.remove(ctx, `DELETE FROM accounts WHERE id = ?`, account, e)
}

// remove deletes one record by its key and stores the event.
func (s *Store) remove(ctx context.Context, query, key string, e login.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, query, key)
		if err != nil {
			return err
		}
		if err := mustAffect(result); err != nil {
			return err
		}
		return s.addEvent(ctx, tx, e)
	})
}

// list collects the rows of a query.
func list[T any](ctx context.Context, db *sql.DB, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err below tells what matters
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// ListAccounts implements [login.Accounts].
func (s *Store) ListAccounts(ctx context.Context, after string, n int) ([]login.Account, error) {
	return list(ctx, s.read, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE ucc > ? ORDER BY ucc LIMIT ?`, after, n)
}

func scanConsumer(row scanner) (login.Consumer, error) {
	var c login.Consumer
	var created int64
	if err := row.Scan(&c.Key, &c.Name, &c.SecretHash, &created); err != nil {
		return login.Consumer{}, notFound(err)
	}
	c.Created = fromMillis(created)
	return c, nil
}

// Consumer implements [login.Accounts].
func (s *Store) Consumer(ctx context.Context, key string) (login.Consumer, error) {
	return scanConsumer(s.read.QueryRowContext(ctx, `SELECT key, name, secret_hash, created FROM consumers WHERE key = ?`, key))
}

// AddConsumer implements [login.Accounts].
func (s *Store) AddConsumer(ctx context.Context, c login.Consumer, e login.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO consumers (key, name, secret_hash, created) VALUES (?, ?, ?, ?)`,
			c.Key, c.Name, c.SecretHash, millis(c.Created))
		if err != nil {
			return exists(err, "consumers", map[string]string{"key": "consumer key"})
		}
		return s.addEvent(ctx, tx, e)
	})
}

// RemoveConsumer implements [login.Accounts].
func (s *Store) RemoveConsumer(ctx context.Context, key string, e login.Event) error {
	return s.remove(ctx, `DELETE FROM consumers WHERE key = ?`, key, e)
}

// ListConsumers implements [login.Accounts].
func (s *Store) ListConsumers(ctx context.Context, after string, n int) ([]login.Consumer, error) {
	return list(ctx, s.read, scanConsumer, `SELECT key, name, secret_hash, created FROM consumers WHERE key > ? ORDER BY key LIMIT ?`, after, n)
}

// SigningKeys implements [login.Accounts].
func (s *Store) SigningKeys(ctx context.Context) ([]login.SigningKey, error) {
	scan := func(row scanner) (login.SigningKey, error) {
		var k login.SigningKey
		var created int64
		err := row.Scan(&k.ID, &k.Sealed, &created)
		k.Created = fromMillis(created)
		return k, err
	}
	return list(ctx, s.read, scan, `SELECT id, sealed, created FROM signing_keys ORDER BY n`)
}

// AddFirstSigningKey implements [login.Accounts].
func (s *Store) AddFirstSigningKey(ctx context.Context, k login.SigningKey) error {
	_, err := s.write.ExecContext(ctx,
		`INSERT INTO signing_keys (id, sealed, created) SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM signing_keys)`,
		k.ID, k.Sealed, millis(k.Created))
	return err
}

// Record implements [login.Accounts].
func (s *Store) Record(ctx context.Context, e login.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return s.addEvent(ctx, tx, e) })
}

func (s *Store) addEvent(ctx context.Context, tx *sql.Tx, e login.Event) error {
	_, err := tx.StmtContext(ctx, s.stmts.addEvent).ExecContext(ctx,
		millis(e.Time), e.Action, e.Outcome, e.Account, e.UCC, string(e.Factor), e.Consumer, e.SID, e.Address, e.RequestID)
	return err
}

// Events implements [login.Accounts].
func (s *Store) Events(ctx context.Context, account string, after int64, n int) ([]login.Event, error) {
	scan := func(row scanner) (login.Event, error) {
		var e login.Event
		var at int64
		err := row.Scan(&e.Seq, &at, &e.Action, &e.Outcome, &e.Account, &e.UCC, &e.Factor, &e.Consumer, &e.SID, &e.Address, &e.RequestID)
		e.Time = fromMillis(at)
		return e, err
	}
	return list(ctx, s.read, scan, `SELECT seq, time, action, outcome, account, ucc, factor, consumer, sid, address, request_id
		FROM events WHERE seq > ? AND (? = '' OR account = ?) ORDER BY seq LIMIT ?`, after, account, account, n)
}
