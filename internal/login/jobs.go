package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/credential"
)

// Work to be done outside after an answer stays in the store until it is done: codes
// to send (the outbox) and ended sessions to report to the OMS (the closings). Every
// process on a store works on both.
const (
	jobsAtOnce  = 16               // of a kind, in one process
	jobEvery    = time.Second      // how often the store is asked for jobs of other processes
	jobTimeout  = 25 * time.Second // how long one may take
	jobSettle   = 5 * time.Second  // how long to retry storing its outcome
	jobLast     = time.Second      // then it must return, or is given up
	jobLease    = 40 * time.Second // then the job counts as interrupted: 10 s of it allow for processes whose clocks differ
	jobAgain    = time.Second      // after a failure not of its own
	closeAgain  = time.Second      // after the first closing that failed; each further one waits twice as long
	closeLonger = 15 * time.Second // and at most so long
)

// A jobs works at one kind of job.
type jobs struct {
	kind JobKind
	do   func(ctx context.Context, j Job)
	due  chan struct{} // there may be one

	mu    sync.Mutex
	doing map[string]bool // ids of the jobs that are under way here
}

func newJobs(kind JobKind, do func(context.Context, Job)) *jobs {
	return &jobs{kind: kind, do: do, due: make(chan struct{}, 1), doing: map[string]bool{}}
}

// begun and ended maintain the ids of the jobs in progress.
func (q *jobs) begun(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.doing[id] = true
}

func (q *jobs) ended(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.doing, id)
}

func (q *jobs) underWay() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(maps.Keys(q.doing))
}

// A takeover decides when a process may claim the jobs of others. Leases use the wall
// clock, which may be wrong here: only a process that has watched for the length of a
// lease, by its monotonic clock, knows that they have expired.
type takeover struct {
	watching  time.Duration // since when, by the steady clock
	wall      time.Time     // what the two clocks said last
	steady    time.Duration
	beginning bool // there was no last time
}

// allowed reports whether jobs of others may be claimed now: wall is the time, and
// steady how long the process has run. Watching starts again when the wall clock was
// set.
func (w *takeover) allowed(wall time.Time, steady time.Duration) bool {
	const tolerated = jobLease - jobTimeout - jobSettle // what a lease leaves for the skew of clocks
	set := wall.Sub(w.wall) - (steady - w.steady)
	if w.beginning || set.Abs() > tolerated/2 {
		w.watching, w.beginning = steady, false
	}
	w.wall, w.steady = wall, steady
	return steady-w.watching >= jobLease
}

// wake makes the queue ask the store for jobs at once.
func (q *jobs) wake() {
	select {
	case q.due <- struct{}{}:
	default:
	}
}

// work claims jobs and does them until the context is done. Jobs in progress then get
// a moment to finish, and are interrupted after that.
func (s *Service) work(ctx context.Context, q *jobs) {
	doing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()                                                  // before stop
	context.AfterFunc(ctx, func() { time.AfterFunc(laterTimeout, stop) }) // not taken back: the loop may see the end before it
	slots := make(chan struct{}, jobsAtOnce)
	tick := time.NewTicker(jobEvery)
	defer tick.Stop()
	well := true
	began, others := time.Now(), takeover{beginning: true}
	for ctx.Err() == nil {
		fresh := !others.allowed(s.Now().Round(0), time.Since(began))
		if free := cap(slots) - len(slots); free > 0 {
			claimed, err := s.Jobs.ClaimJobs(ctx, JobClaim{
				Kind: q.kind, ID: uuid.NewString(), Now: s.Now(), Lease: jobLease, N: free, Fresh: fresh, Doing: q.underWay(),
			})
			if err != nil && well && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "jobs not claimed", "kind", q.kind, "cause", err)
			}
			well = err == nil
			for _, j := range claimed {
				slots <- struct{}{}
				q.begun(j.ID)
				running.Go(func() {
					defer q.wake() // there may be more than could be claimed
					defer func() { <-slots }()
					defer q.ended(j.ID)
					s.doJob(doing, q, j)
				})
			}
		}
		select {
		case <-tick.C:
		case <-q.due:
		case <-ctx.Done():
		}
	}
}

// doJob does a job, and gives it up if it does not return in its time. By then its
// context has long ended, but Go cannot end a goroutine from outside, so it is left
// behind with what it holds. If it does return later, the claim is lost and it changes
// nothing. To the process that claims the job next, it was interrupted.
func (s *Service) doJob(ctx context.Context, q *jobs, j Job) {
	doing, cancel := context.WithTimeout(ctx, jobTimeout)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		defer func() { // not a request: a panic must not end the service
			if p := recover(); p != nil {
				s.Log.ErrorContext(doing, "a panic in a job", "kind", j.Kind, "sid", j.SID, "panic", fmt.Sprint(p))
			}
		}()
		q.do(doing, j)
	}()
	<-doing.Done() // the job is done or out of time, or the service ends
	select {
	case <-done:
	case <-time.After(jobSettle + jobLast):
		s.Log.ErrorContext(ctx, "a job was given up: it did not end in its time", "kind", j.Kind, "sid", j.SID, "tries", j.Tries)
		if s.GaveUp != nil {
			s.GaveUp(j.Kind)
		}
	}
}

// settle runs f, which ends or postpones a job, and retries while the store fails,
// but not beyond the claim's lease.
func (s *Service) settle(ctx context.Context, j Job, f func(ctx context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jobSettle)
	defer cancel()
	for wait := laterTimeout / 20; ; wait *= 2 {
		err := f(ctx)
		if err == nil || errors.Is(err, ErrClaimLost) {
			return err == nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			s.Log.WarnContext(ctx, "the end of a job not stored", "kind", j.Kind, "sid", j.SID, "cause", err)
			return false
		}
	}
}

func (s *Service) putOff(ctx context.Context, j Job, wait time.Duration) {
	s.settle(ctx, j, func(ctx context.Context) error {
		return s.Jobs.PutOffJob(ctx, j.ID, j.Claim, s.Now().Add(wait))
	})
}

// A letter is the sealed content of a code's job: everything needed to send it.
type letter struct {
	Code      string   `json:"code"`
	UCC       string   `json:"ucc"`
	Name      string   `json:"name"`
	Mobile    string   `json:"mobile"`
	Email     string   `json:"email"`
	Couriers  []string `json:"couriers"`
	Consumer  string   `json:"consumer"`
	Address   string   `json:"address"`
	RequestID string   `json:"requestId"`
}

// codeJob returns the job that sends a message. Its event is that of the request.
func (s *Service) codeJob(m Message, e Event) *Job {
	plain, err := json.Marshal(letter{
		string(m.Code), m.Account.UCC, m.Account.GreetingName, m.Account.Mobile, m.Account.Email, m.Account.Couriers,
		e.Consumer, e.Address, e.RequestID,
	})
	if err != nil {
		panic(err) // strings
	}
	return &Job{
		ID: m.ID, Kind: JobCode, SID: m.SID, Account: m.Account.ID, Created: e.Time, Expires: m.Expires,
		Sealed: s.Vault.Seal(credential.PurposeOutbox, m.ID, plain),
	}
}

// sendCode sends a code that is still needed. The outcome is in the audit trail: one
// event for each job, and one more if the job was interrupted.
func (s *Service) sendCode(ctx context.Context, j Job) {
	event := Event{Time: s.Now(), Action: "otp delivery", Factor: OTP, Account: j.Account, SID: j.SID}
	end := func(outcome string, undelivered []byte) {
		event.Outcome = outcome
		if s.settle(ctx, j, func(ctx context.Context) error { return s.Jobs.EndJob(ctx, j, undelivered, &event) }) {
			s.logged(ctx, event)
		}
	}
	failed := func(outcome string, hash []byte, err error) {
		s.Log.ErrorContext(ctx, "code not delivered", "sid", j.SID, "cause", err)
		end(outcome, hash)
	}
	var l letter
	plain, err := s.Vault.Open(credential.PurposeOutbox, j.ID, j.Sealed)
	if err == nil {
		err = json.Unmarshal(plain, &l)
	}
	if err != nil {
		s.dropUnread(ctx, j)
		failed("not delivered", nil, err)
		return
	}
	event.UCC, event.Consumer, event.Address, event.RequestID = l.UCC, l.Consumer, l.Address, l.RequestID
	m := Message{ID: j.ID, SID: j.SID, Code: credential.Secret(l.Code), Now: event.Time, Expires: j.Expires, Account: Account{
		ID: j.Account, UCC: l.UCC, GreetingName: l.Name, Mobile: l.Mobile, Reach: Reach{l.Email, l.Couriers},
	}}
	hash := s.otpHash(j.SID, m.Code)
	live, err := s.Live(ctx, m)
	switch {
	case !s.Now().Before(j.Expires):
		failed("too late", hash, errors.New("it expired in the outbox"))
		return
	case err != nil:
		s.putOff(ctx, j, jobAgain)
		return
	case !live: // replaced, used up, or the login is over: its owner expects another one, or none
		end("not needed", nil)
		return
	}
	if j.Interrupted {
		// It is not known whether the code was sent. It is the same code with the same id:
		// better twice than never.
		again := event
		again.Outcome = "interrupted: sent again"
		if err := s.Trail.Record(ctx, again); err != nil {
			s.putOff(ctx, j, jobAgain)
			return
		}
		s.logged(ctx, again)
	}
	if s.Courier == nil {
		err = errors.New("this service has no couriers any more")
	} else {
		err = s.Courier.Send(ctx, m)
	}
	switch {
	case err == nil:
		end("ok", nil)
	case errors.Is(ctx.Err(), context.Canceled): // the service is ending: the next process treats the job as interrupted
		s.Log.LogAttrs(ctx, slog.LevelWarn, "interrupted while a code was sent", slog.String("sid", j.SID))
	default:
		failed("not delivered", hash, err)
	}
}

// dropUnread takes back the code of a job that cannot be read, whatever it is.
func (s *Service) dropUnread(ctx context.Context, j Job) {
	view, err := s.Sessions.Session(ctx, j.SID)
	if err == nil && view.OTPExpires.Equal(j.Expires) {
		err = s.Sessions.DropOTP(ctx, j.SID, view.OTP)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		s.Log.WarnContext(ctx, "undelivered code not taken back", "sid", j.SID, "cause", err)
	}
}

// closeLater reports to the OMS the end of a session that it opened but that was not
// stored. If the report is lost, the session expires there by itself.
func (s *Service) closeLater(ctx context.Context, t Session) {
	if !t.Remote {
		return
	}
	job := Job{ID: uuid.NewString(), Kind: JobClose, SID: t.SID, Account: t.Account, Created: s.Now(), Expires: t.Expires}
	s.after(ctx, func(ctx context.Context) error {
		err := s.Jobs.AddJob(ctx, job)
		if err == nil {
			s.closings.wake()
		}
		return err
	})
}

// closeSession reports to the OMS that a session has ended. If that fails it is tried
// again later, until the session would have expired by itself.
func (s *Service) closeSession(ctx context.Context, j Job) {
	if !s.Now().Before(j.Expires) {
		s.settle(ctx, j, func(ctx context.Context) error { return s.Jobs.EndJob(ctx, j, nil, nil) })
		return
	}
	calling, cancel := context.WithTimeout(ctx, s.opt.OMSTimeout)
	err := s.OMS.Close(calling, j.SID)
	cancel()
	if err != nil {
		s.Log.WarnContext(ctx, "the OMS was not told of a session's end", "sid", j.SID, "cause", err)
		s.putOff(ctx, j, min(closeAgain<<min(j.Tries-1, 10), closeLonger))
		return
	}
	s.settle(ctx, j, func(ctx context.Context) error { return s.Jobs.EndJob(ctx, j, nil, nil) })
}
