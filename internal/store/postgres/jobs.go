package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/login"
)

const jobColumns = `id, kind, sid, account, sealed, created, expires, due, tries, claim`

func jobArgs(j *login.Job) []any {
	return []any{j.ID, string(j.Kind), j.SID, j.Account, some(j.Sealed), when{&j.Created}, when{&j.Expires}, when{&j.Created}, 0, ""}
}

// saveSessionJob saves a session and a job.
var saveSessionJob = saveState + saveSession + `, job AS (INSERT INTO jobs (` + jobColumns + `) SELECT ` + marks(27, 10) + ` FROM saved)` + saveDone

// saveEndedJob saves a session, stores an event and removes the job that led to it.
var saveEndedJob = saveState + saveSession + saveEventAt(29) + `, job AS (DELETE FROM jobs USING saved WHERE id = $27 AND claim = $28)` + saveDone

// closings stores the closings of the sessions that match a condition, which begins
// with $1.
func closings(condition string, args ...any) statement {
	return statement{`INSERT INTO jobs (` + jobColumns + `)
		SELECT gen_random_uuid()::text, 'close', sid, account, NULL, now(), expires, '-infinity', 0, '' FROM sessions
		WHERE remote AND ` + condition, args}
}

// AddJob implements [login.Jobs].
func (s *Store) AddJob(ctx context.Context, j login.Job) error {
	_, err := s.write(ctx, statement{`INSERT INTO jobs (` + jobColumns + `) VALUES (` + marks(1, 10) + `)`, jobArgs(&j)})
	return err
}

// ClaimJobs implements [login.Jobs].
func (s *Store) ClaimJobs(ctx context.Context, claim login.JobClaim) (all []login.Job, err error) {
	until := claim.Now.Add(claim.Lease)
	err = s.do(ctx, within, func(ctx context.Context, c *conn) error {
		all, err = collect(ctx, c, func(row pgx.CollectableRow) (j login.Job, err error) {
			var n int64
			err = row.Scan(&n, &j.ID, &j.Kind, &j.SID, &j.Account, &j.Sealed, when{&j.Created}, when{&j.Expires}, &j.Tries, &j.Claim, &j.Interrupted)
			return j, err
		}, `WITH due AS (
				SELECT n, id, claim FROM jobs
				WHERE kind = $1 AND (due <= $2 OR due > $6) AND (claim = '' OR NOT $7) AND NOT id = ANY ($8)
					AND (claim = '' OR due > $6 OR expires <= $2 OR due + $9::interval * ((1 << least(interrupted, $10)) - 1) <= $2)
				ORDER BY n LIMIT $3 FOR UPDATE SKIP LOCKED),
			claimed AS (
				UPDATE jobs SET due = $4, tries = tries + 1, interrupted = interrupted + (due.claim <> '')::int, claim = $5 FROM due WHERE jobs.id = due.id
				RETURNING jobs.n, jobs.id, kind, sid, account, sealed, created, expires, tries, jobs.claim, due.claim <> '')
			SELECT * FROM claimed ORDER BY n`, string(claim.Kind), claim.Now, claim.N, until, claim.ID,
			claim.Latest(), claim.Fresh, append([]string{}, claim.Doing...), claim.Lease, login.MostDoublings)
		return err
	})
	return all, err
}

// PutOffJob implements [login.Jobs].
func (s *Store) PutOffJob(ctx context.Context, id, claim string, due time.Time) error {
	return claimed(s.mustChange(ctx, statement{`UPDATE jobs SET due = $1, claim = '' WHERE id = $2 AND claim = $3`, []any{due, id, claim}}))
}

// claimed turns login.ErrNotFound into login.ErrClaimLost.
func claimed(err error) error {
	if errors.Is(err, login.ErrNotFound) {
		return login.ErrClaimLost
	}
	return err
}

// EndJob implements [login.Jobs].
func (s *Store) EndJob(ctx context.Context, j login.Job, undelivered []byte, e *login.Event) error {
	if len(undelivered) > 0 && e != nil {
		done, err := s.endUndelivered(ctx, j, undelivered, e)
		if done || err != nil {
			return err
		}
	}
	if e == nil {
		return claimed(s.mustChange(ctx, statement{`DELETE FROM jobs WHERE id = $1 AND claim = $2`, []any{j.ID, j.Claim}}))
	}
	return claimed(s.mustChange(ctx, recordIf(`DELETE FROM jobs WHERE id = $1 AND claim = $2`, *e, j.ID, j.Claim)))
}

// endUndelivered is EndJob for a code that can be taken back; done is false if it
// cannot.
func (s *Store) endUndelivered(ctx context.Context, j login.Job, code []byte, e *login.Event) (done bool, err error) {
	err = s.do(ctx, within, func(ctx context.Context, c *conn) error {
		// Before the code is taken back and not together with it: a claim is lost when its
		// lease has expired, and its holder gives up long before.
		var held bool
		if err := one(ctx, c, []any{&held}, `SELECT EXISTS (SELECT FROM jobs WHERE id = $1 AND claim = $2)`, j.ID, j.Claim); err != nil {
			return err
		}
		if !held {
			return login.ErrClaimLost
		}
		l, err := loadSession(ctx, c, j.SID)
		if err != nil {
			return err
		}
		if !l.session.TakeBackOTP(&l.state, code) {
			return login.ErrNotFound
		}
		return l.save(ctx, c, saveEndedJob, append(append(l.changes(), j.ID, j.Claim), eventArgs(e)...)...)
	})
	if errors.Is(err, login.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Jobs implements [login.Jobs].
func (s *Store) Jobs(ctx context.Context, kind login.JobKind) (q login.Queue, err error) {
	err = s.read(ctx, []any{&q.Length, when{&q.Oldest}}, `SELECT count(*), min(created) FROM jobs WHERE kind = $1`, string(kind))
	return q, err
}
