package telemetry

import (
	"context"
	"time"

	"neoapi/internal/limit"
	"neoapi/internal/login"
)

// The ports to the store, one decorator each. They embed nothing: a port's new method
// does not compile until it is measured here.

// directory measures [login.Directory].
type directory struct {
	next login.Directory
	t    *Telemetry
}

func (x directory) Account(ctx context.Context, id login.Identifier) (login.Account, error) {
	return result(x.t, ctx, "store", "account", func(ctx context.Context) (login.Account, error) { return x.next.Account(ctx, id) })
}

func (x directory) SampleAccounts(ctx context.Context, n int) ([]login.Account, error) {
	return result(x.t, ctx, "store", "sample_accounts", func(ctx context.Context) ([]login.Account, error) { return x.next.SampleAccounts(ctx, n) })
}

func (x directory) ListAccounts(ctx context.Context, after string, n int) ([]login.Account, error) {
	return result(x.t, ctx, "store", "list_accounts", func(ctx context.Context) ([]login.Account, error) { return x.next.ListAccounts(ctx, after, n) })
}

func (x directory) SetHash(ctx context.Context, account string, f login.Factor, old, new string) error {
	return x.t.call(ctx, "store", "set_hash", func(ctx context.Context) error { return x.next.SetHash(ctx, account, f, old, new) })
}

func (x directory) Consumer(ctx context.Context, key string) (login.Consumer, error) {
	return result(x.t, ctx, "store", "consumer", func(ctx context.Context) (login.Consumer, error) { return x.next.Consumer(ctx, key) })
}

func (x directory) ListConsumers(ctx context.Context, after string, n int) ([]login.Consumer, error) {
	return result(x.t, ctx, "store", "list_consumers", func(ctx context.Context) ([]login.Consumer, error) { return x.next.ListConsumers(ctx, after, n) })
}

// keys measures [login.Keys].
type keys struct {
	next login.Keys
	t    *Telemetry
}

func (x keys) SigningKeys(ctx context.Context) ([]login.SigningKey, error) {
	return result(x.t, ctx, "store", "signing_keys", func(ctx context.Context) ([]login.SigningKey, error) { return x.next.SigningKeys(ctx) })
}

func (x keys) AddFirstSigningKey(ctx context.Context, k login.SigningKey) error {
	return x.t.call(ctx, "store", "add_first_signing_key", func(ctx context.Context) error { return x.next.AddFirstSigningKey(ctx, k) })
}

func (x keys) AddSigningKey(ctx context.Context, k login.SigningKey, e login.Event) error {
	return x.t.call(ctx, "store", "add_signing_key", func(ctx context.Context) error { return x.next.AddSigningKey(ctx, k, e) })
}

func (x keys) RemoveSigningKey(ctx context.Context, id string, e login.Event) error {
	return x.t.call(ctx, "store", "remove_signing_key", func(ctx context.Context) error { return x.next.RemoveSigningKey(ctx, id, e) })
}

func (x keys) KeyInUse(ctx context.Context, key string, now time.Time) (bool, error) {
	return result(x.t, ctx, "store", "key_in_use", func(ctx context.Context) (bool, error) { return x.next.KeyInUse(ctx, key, now) })
}

// trail measures [login.Trail].
type trail struct {
	next login.Trail
	t    *Telemetry
}

func (x trail) Record(ctx context.Context, e login.Event) error {
	return x.t.call(ctx, "store", "record", func(ctx context.Context) error { return x.next.Record(ctx, e) })
}

func (x trail) LastEvent(ctx context.Context) (time.Time, error) {
	return result(x.t, ctx, "store", "last_event", func(ctx context.Context) (time.Time, error) { return x.next.LastEvent(ctx) })
}

func (x trail) Events(ctx context.Context, q login.EventQuery) ([]login.Event, error) {
	return result(x.t, ctx, "store", "events", func(ctx context.Context) ([]login.Event, error) { return x.next.Events(ctx, q) })
}

// sessions measures [login.Sessions].
type sessions struct {
	next login.Sessions
	t    *Telemetry
}

func (x sessions) OpenView(ctx context.Context, v login.Session, totpStep int64, try string, e login.Event) error {
	return x.t.call(ctx, "store", "open_view", func(ctx context.Context) error { return x.next.OpenView(ctx, v, totpStep, try, e) })
}

func (x sessions) TryView(ctx context.Context, t login.Try, v login.Session, totpStep int64, e login.Event) (int64, error) {
	return result(x.t, ctx, "store", "try_view", func(ctx context.Context) (int64, error) { return x.next.TryView(ctx, t, v, totpStep, e) })
}

func (x sessions) Session(ctx context.Context, sid string) (login.Session, error) {
	return result(x.t, ctx, "store", "session", func(ctx context.Context) (login.Session, error) { return x.next.Session(ctx, sid) })
}

func (x sessions) SessionOf(ctx context.Context, account, tokenID string) (login.Session, error) {
	return result(x.t, ctx, "store", "session_of", func(ctx context.Context) (login.Session, error) { return x.next.SessionOf(ctx, account, tokenID) })
}

func (x sessions) PendingView(ctx context.Context, account string, consumer login.Consumer, fresh, now time.Time) (login.Session, error) {
	return result(x.t, ctx, "store", "pending_view", func(ctx context.Context) (login.Session, error) {
		return x.next.PendingView(ctx, account, consumer, fresh, now)
	})
}

func (x sessions) SetOTP(ctx context.Context, o login.NewOTP) (time.Duration, error) {
	return result(x.t, ctx, "store", "set_otp", func(ctx context.Context) (time.Duration, error) { return x.next.SetOTP(ctx, o) })
}

func (x sessions) DropOTP(ctx context.Context, sid string, otp []byte) error {
	return x.t.call(ctx, "store", "drop_otp", func(ctx context.Context) error { return x.next.DropOTP(ctx, sid, otp) })
}

func (x sessions) Claim(ctx context.Context, c login.Claim) (v login.Session, a login.Account, err error) {
	err = x.t.call(ctx, "store", "claim", func(ctx context.Context) error {
		v, a, err = x.next.Claim(ctx, c)
		return err
	})
	return v, a, err
}

func (x sessions) Fail(ctx context.Context, sid, claim string, e login.Event) error {
	return x.t.call(ctx, "store", "fail", func(ctx context.Context) error { return x.next.Fail(ctx, sid, claim, e) })
}

func (x sessions) Refund(ctx context.Context, sid, claim string, e login.Event) error {
	return x.t.call(ctx, "store", "refund", func(ctx context.Context) error { return x.next.Refund(ctx, sid, claim, e) })
}

func (x sessions) Complete(ctx context.Context, claim string, t login.Session, e login.Event) error {
	return x.t.call(ctx, "store", "complete", func(ctx context.Context) error { return x.next.Complete(ctx, claim, t, e) })
}

func (x sessions) End(ctx context.Context, sid, tokenID string, e login.Event) error {
	return x.t.call(ctx, "store", "end", func(ctx context.Context) error { return x.next.End(ctx, sid, tokenID, e) })
}

func (x sessions) Revoke(ctx context.Context, account, sid string, e login.Event) error {
	return x.t.call(ctx, "store", "revoke", func(ctx context.Context) error { return x.next.Revoke(ctx, account, sid, e) })
}

func (x sessions) SessionsOf(ctx context.Context, account string, now time.Time) ([]login.Session, error) {
	return result(x.t, ctx, "store", "sessions_of", func(ctx context.Context) ([]login.Session, error) { return x.next.SessionsOf(ctx, account, now) })
}

func (x sessions) Revocations(ctx context.Context, after int64, since time.Time, n int) (all []login.Revocation, last int64, err error) {
	err = x.t.call(ctx, "store", "revocations", func(ctx context.Context) error {
		all, last, err = x.next.Revocations(ctx, after, since, n)
		return err
	})
	return all, last, err
}

// allowances measures [login.Allowances].
type allowances struct {
	next login.Allowances
	t    *Telemetry
}

func (x allowances) Take(ctx context.Context, key string, r limit.Rate, n int, now time.Time) (time.Duration, error) {
	return result(x.t, ctx, "store", "take", func(ctx context.Context) (time.Duration, error) { return x.next.Take(ctx, key, r, n, now) })
}

func (x allowances) Charge(ctx context.Context, c login.Charge) (time.Duration, error) {
	return result(x.t, ctx, "store", "charge", func(ctx context.Context) (time.Duration, error) { return x.next.Charge(ctx, c) })
}

func (x allowances) GiveBack(ctx context.Context, c login.Charge, now time.Time) error {
	return x.t.call(ctx, "store", "give_back", func(ctx context.Context) error { return x.next.GiveBack(ctx, c, now) })
}

func (x allowances) State(ctx context.Context, account string) (login.AccountState, error) {
	return result(x.t, ctx, "store", "state", func(ctx context.Context) (login.AccountState, error) { return x.next.State(ctx, account) })
}

func (x allowances) Try(ctx context.Context, t login.Try) error {
	return x.t.call(ctx, "store", "try", func(ctx context.Context) error { return x.next.Try(ctx, t) })
}

func (x allowances) EndTry(ctx context.Context, t login.Try, failed bool, e login.Event) error {
	return x.t.call(ctx, "store", "end_try", func(ctx context.Context) error { return x.next.EndTry(ctx, t, failed, e) })
}

func (x allowances) Unlock(ctx context.Context, account string, e login.Event) error {
	return x.t.call(ctx, "store", "unlock", func(ctx context.Context) error { return x.next.Unlock(ctx, account, e) })
}

// jobs measures [login.Jobs].
type jobs struct {
	next login.Jobs
	t    *Telemetry
}

func (x jobs) AddJob(ctx context.Context, j login.Job) error {
	return x.t.call(ctx, "store", "add_job", func(ctx context.Context) error { return x.next.AddJob(ctx, j) })
}

func (x jobs) ClaimJobs(ctx context.Context, c login.JobClaim) ([]login.Job, error) {
	return result(x.t, ctx, "store", "claim_jobs", func(ctx context.Context) ([]login.Job, error) { return x.next.ClaimJobs(ctx, c) })
}

func (x jobs) PutOffJob(ctx context.Context, id, claim string, due time.Time) error {
	return x.t.call(ctx, "store", "put_off_job", func(ctx context.Context) error { return x.next.PutOffJob(ctx, id, claim, due) })
}

func (x jobs) EndJob(ctx context.Context, j login.Job, undelivered []byte, e *login.Event) error {
	return x.t.call(ctx, "store", "end_job", func(ctx context.Context) error { return x.next.EndJob(ctx, j, undelivered, e) })
}

func (x jobs) Jobs(ctx context.Context, kind login.JobKind) (login.Queue, error) {
	return result(x.t, ctx, "store", "jobs", func(ctx context.Context) (login.Queue, error) { return x.next.Jobs(ctx, kind) })
}

func (x jobs) Sweep(ctx context.Context, now time.Time, n int) (int, error) {
	return result(x.t, ctx, "store", "sweep", func(ctx context.Context) (int, error) { return x.next.Sweep(ctx, now, n) })
}

func (x jobs) DropExpired(ctx context.Context, now time.Time) error {
	return x.t.call(ctx, "store", "drop_expired", func(ctx context.Context) error { return x.next.DropExpired(ctx, now) })
}

func (x jobs) Rehearse(ctx context.Context, now time.Time) error {
	return x.t.call(ctx, "store", "rehearse", func(ctx context.Context) error { return x.next.Rehearse(ctx, now) })
}

func (x jobs) Count(ctx context.Context, now time.Time) (views, trades int, err error) {
	err = x.t.call(ctx, "store", "count", func(ctx context.Context) error {
		views, trades, err = x.next.Count(ctx, now)
		return err
	})
	return views, trades, err
}
