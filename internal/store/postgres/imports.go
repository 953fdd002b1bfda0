package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/login"
)

// SampleAccounts implements [login.Directory]. Ids are random: the account after a
// random one is a random account.
func (s *Store) SampleAccounts(ctx context.Context, n int) ([]login.Account, error) {
	return list(ctx, s, columnsOfAccount, `SELECT a.* FROM
		(SELECT CASE n WHEN 1 THEN '' ELSE gen_random_uuid()::text END COLLATE "C" AS after FROM generate_series(1, $1::int) n) r,
		LATERAL (SELECT `+accountColumns+` FROM accounts WHERE id >= r.after ORDER BY id LIMIT 1) a`, n)
}

// EraseAccount implements [login.Operations]. The row of counters stays, but empty:
// see the table.
func (s *Store) EraseAccount(ctx context.Context, account string, e login.Event) error {
	const there = ` AND EXISTS (SELECT FROM accounts WHERE id = $1)`
	return s.mustChange(ctx, hold(account),
		closings(`account = $1`+there, account),
		statement{`DELETE FROM sessions WHERE account = $1` + there, []any{account}},
		statement{`DELETE FROM jobs WHERE account = $1 AND kind <> 'close'` + there, []any{account}},
		statement{`UPDATE account_states SET totp_step = 0, sent = NULL, failures = '' WHERE account = $1` + there, []any{account}},
		recordIf(`DELETE FROM accounts WHERE id = $1`, e, account))
}

// ForgetEvents implements [login.Operations].
func (s *Store) ForgetEvents(ctx context.Context, ucc, pseudonym string, after int64, n int) (last int64, changed int, err error) {
	err = s.read(ctx, []any{&last}, `SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM events WHERE seq > $1 ORDER BY seq LIMIT $2) e`, after, n)
	if err != nil || last == 0 {
		return 0, 0, err
	}
	rows, err := s.write(ctx, statement{
		`UPDATE events SET ucc = $1, account = '', address = '', request_id = '' WHERE seq > $2 AND seq <= $3 AND ucc = $4`,
		[]any{pseudonym, after, last, ucc},
	})
	return last, int(rows), err
}

const importColumns = `"offset", line, added, rejected, report`

func columnsOfImport(x *login.Import) []any {
	return []any{&x.Offset, &x.Line, &x.Added, &x.Rejected, &x.Report}
}

// Import implements [login.Operations].
func (s *Store) Import(ctx context.Context, file string) (login.Import, error) {
	x := login.Import{File: file}
	err := s.read(ctx, columnsOfImport(&x), `SELECT `+importColumns+` FROM imports WHERE file = $1`, file)
	if errors.Is(err, login.ErrNotFound) {
		return login.Import{}, nil
	}
	return x, err
}

// withinImport limits how long one step of an import may take.
const withinImport = time.Minute

// AddAccounts implements [login.Operations]. The accounts are copied to a temporary
// table and from there to the others, so that collisions can be reported while the
// rest is stored.
func (s *Store) AddAccounts(ctx context.Context, from login.Import, all []login.Account, done func(taken []error) (login.Import, login.Event, error)) error {
	return s.do(ctx, withinImport, func(ctx context.Context, c *conn) error {
		return c.transaction(ctx, func(tx *pgx.Conn) error {
			if _, err := tx.Exec(ctx, `INSERT INTO imports (file, `+importColumns+`) VALUES ($1, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING`, from.File); err != nil {
				return err
			}
			var now login.Import
			if err := tx.QueryRow(ctx, `SELECT `+importColumns+` FROM imports WHERE file = $1 FOR UPDATE`, from.File).Scan(columnsOfImport(&now)...); err != nil {
				return err
			}
			if now.Offset != from.Offset {
				return login.ErrClaimed
			}
			taken, err := copyAccounts(ctx, tx, all)
			if err != nil {
				return err
			}
			to, e, err := done(taken)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `UPDATE imports SET "offset" = $2, line = $3, added = $4, rejected = $5, report = $6 WHERE file = $1`,
				from.File, to.Offset, to.Line, to.Added, to.Rejected, to.Report)
			if err == nil {
				event := record(e)
				_, err = tx.Exec(ctx, event.query, asText(event.args)...)
			}
			return err
		})
	})
}

// copyAccounts stores accounts, and returns for each why it was not stored, or nil.
func copyAccounts(ctx context.Context, tx *pgx.Conn, all []login.Account) ([]error, error) {
	_, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE coming (n integer, LIKE accounts) ON COMMIT DROP`)
	if err != nil {
		return nil, err
	}
	columns := append([]string{"n"}, strings.Split(accountColumns, ", ")...)
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"coming"}, columns, pgx.CopyFromSlice(len(all), func(i int) ([]any, error) {
		return append([]any{i}, valuesOfAccount(&all[i])...), nil
	}))
	if err != nil {
		return nil, err
	}
	taken := make([]error, len(all))
	tag, err := tx.Exec(ctx, `INSERT INTO accounts (`+accountColumns+`) SELECT `+accountColumns+` FROM coming ORDER BY n ON CONFLICT DO NOTHING`)
	if err != nil || tag.RowsAffected() == int64(len(all)) {
		return taken, err
	}
	rows, err := tx.Query(ctx, `SELECT n, CASE
			WHEN EXISTS (SELECT FROM accounts a WHERE a.ucc = c.ucc) THEN 'UCC'
			WHEN EXISTS (SELECT FROM accounts a WHERE a.user_id = c.user_id) THEN 'user id'
			WHEN EXISTS (SELECT FROM accounts a WHERE a.mobile = c.mobile) THEN 'mobile number'
			WHEN EXISTS (SELECT FROM accounts a WHERE a.pan_index = c.pan_index) THEN 'PAN'
			ELSE 'id' END
		FROM coming c WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.id = c.id AND a.ucc = c.ucc)`)
	if err != nil {
		return nil, err
	}
	var n int
	var field string
	var uccs []string
	_, err = pgx.ForEachRow(rows, []any{&n, &field}, func() error {
		taken[n] = &login.ExistsError{Field: field}
		uccs = append(uccs, all[n].UCC)
		return nil
	})
	if err != nil {
		return nil, err
	}
	there, err := accountsOf(ctx, tx, uccs)
	for i := range taken {
		var exists *login.ExistsError
		if errors.As(taken[i], &exists) {
			exists.There = there[all[i].UCC]
		}
	}
	return taken, err
}

// accountsOf returns the accounts with some UCCs, by these.
func accountsOf(ctx context.Context, tx *pgx.Conn, uccs []string) (map[string]*login.Account, error) {
	rows, err := tx.Query(ctx, `SELECT `+accountColumns+` FROM accounts WHERE ucc = ANY($1)`, uccs)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]*login.Account{}
	for rows.Next() {
		var a login.Account
		if err := rows.Scan(columnsOfAccount(&a)...); err != nil {
			return nil, err
		}
		all[a.UCC] = &a
	}
	return all, rows.Err()
}
