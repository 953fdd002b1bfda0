package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"zombiezen.com/go/sqlite"

	"neoapi/internal/login"
)

// addJob stores a job in the transaction that is open.
func addJob(c *sqlite.Conn, j login.Job) error {
	return exec(c, `INSERT INTO jobs (id, kind, sid, account, sealed, created, expires, due, tries, claim) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '')`,
		j.ID, string(j.Kind), j.SID, j.Account, j.Sealed, j.Created, j.Expires, j.Created)
}

// addClosings stores the closings of the sessions that a condition names, in the
// transaction that is open.
func addClosings(c *sqlite.Conn, condition string, args ...any) error {
	return exec(c, `INSERT INTO jobs (id, kind, sid, account, created, expires, due, tries, claim)
		SELECT lower(hex(randomblob(16))), 'close', sid, account, CAST(unixepoch('subsec') * 1000 AS INTEGER), expires, 0, 0, ''
		FROM sessions WHERE remote <> 0 AND `+condition, args...)
}

// AddJob implements [login.Jobs].
func (s *Store) AddJob(ctx context.Context, j login.Job) error {
	return s.update(ctx, func(c *sqlite.Conn) error { return addJob(c, j) })
}

// ClaimJobs implements [login.Jobs]. It is called every second, so it writes only if a
// job can be claimed.
func (s *Store) ClaimJobs(ctx context.Context, claim login.JobClaim) ([]login.Job, error) {
	doing, err := json.Marshal(append([]string{}, claim.Doing...))
	if err != nil {
		return nil, err
	}
	due := func(c *sqlite.Conn) (all []login.Job, err error) {
		err = each(c, func(r *row) error {
			j := login.Job{
				ID: r.text(), Kind: login.JobKind(r.text()), SID: r.text(), Account: r.text(), Sealed: r.bytes(),
				Created: r.time(), Expires: r.time(), Tries: int(r.int()) + 1, Claim: claim.ID,
			}
			j.Interrupted = r.text() != ""
			all = append(all, j)
			return nil
		}, `SELECT id, kind, sid, account, sealed, created, expires, tries, claim FROM jobs
			WHERE kind = ? AND (due <= ? OR due > ?) AND (claim = '' OR NOT ?) AND id NOT IN (SELECT value FROM json_each(?))
				AND (claim = '' OR due > ? OR expires <= ? OR due + ? * ((1 << min(interrupted, ?)) - 1) <= ?)
			ORDER BY n LIMIT ?`, string(claim.Kind), claim.Now, claim.Latest(), claim.Fresh, string(doing),
			claim.Latest(), claim.Now, claim.Lease.Milliseconds(), login.MostDoublings, claim.Now, claim.N)
		return all, err
	}
	var all []login.Job
	err = s.view(ctx, func(c *sqlite.Conn) (err error) {
		all, err = due(c)
		return err
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	err = s.update(ctx, func(c *sqlite.Conn) (err error) {
		if all, err = due(c); err != nil {
			return err
		}
		for _, j := range all {
			err := exec(c, `UPDATE jobs SET due = ?, tries = tries + 1, interrupted = interrupted + (claim <> ''), claim = ? WHERE id = ?`, claim.Now.Add(claim.Lease), claim.ID, j.ID)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// PutOffJob implements [login.Jobs].
func (s *Store) PutOffJob(ctx context.Context, id, claim string, due time.Time) error {
	return s.update(ctx, func(c *sqlite.Conn) error {
		return changeJob(c, `UPDATE jobs SET due = ?, claim = '' WHERE id = ? AND claim = ?`, due, id, claim)
	})
}

// EndJob implements [login.Jobs].
func (s *Store) EndJob(ctx context.Context, j login.Job, undelivered []byte, e *login.Event) error {
	return s.update(ctx, func(c *sqlite.Conn) error {
		if err := changeJob(c, `DELETE FROM jobs WHERE id = ? AND claim = ?`, j.ID, j.Claim); err != nil {
			return err
		}
		if len(undelivered) > 0 {
			if err := dropOTP(c, j.SID, undelivered); err != nil {
				return err
			}
		}
		if e == nil {
			return nil
		}
		return addEvent(c, *e)
	})
}

// changeJob runs a statement that changes a claimed job, and returns login.ErrClaimLost
// if it changed none.
func changeJob(c *sqlite.Conn, query string, args ...any) error {
	err := exec(c, query, args...)
	if err == nil && c.Changes() == 0 {
		err = login.ErrClaimLost
	}
	return err
}

// Jobs implements [login.Jobs].
func (s *Store) Jobs(ctx context.Context, kind login.JobKind) (q login.Queue, err error) {
	err = s.scan(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *row) error {
			q = login.Queue{Length: int(r.int()), Oldest: r.time()}
			return nil
		}, `SELECT count(*), coalesce(min(created), 0) FROM jobs WHERE kind = ?`, string(kind))
	})
	return q, err
}
