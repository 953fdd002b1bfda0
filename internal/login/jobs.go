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

// What is done outside after an answer is in the store until it is done: codes
// that are to be sent (the outbox) and sessions whose end the OMS is to hear about
// (the closings). Every process on a store works at both.
const (
	jobsAtOnce  = 16               // of a kind, in one process
	jobEvery    = time.Second      // how often the store is asked for jobs of other processes
	jobTimeout  = 25 * time.Second // how long one may take
	jobSettle   = 5 * time.Second  // how long storing its end may be tried
	jobLast     = time.Second      // and then it has come to its end, or is given up
	jobLease    = 40 * time.Second // then it is taken for interrupted: 10 s are left for processes whose clocks differ
	jobAgain    = time.Second      // after a fault that is not its own
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

// begun and ended keep the ids of what is under way.
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

// A takeover decides when a process may claim the jobs of others. Their leases are
// by the wall clock, which may be wrong here: only who has watched for the length of
// a lease, by a clock that nobody sets, knows that they have run out.
type takeover struct {
	watching  time.Duration // since when, by the steady clock
	wall      time.Time     // what the two clocks said last
	steady    time.Duration
	beginning bool // there was no last time
}

// allowed reports whether jobs of others may be claimed now: wall is the time, and
// steady how long the process has run. Watching begins again when the wall clock was
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

// wake has the store asked for jobs at once.
func (q *jobs) wake() {
	select {
	case q.due <- struct{}{}:
	default:
	}
}

// work claims jobs and does them until the context ends. A job that is under way
// then has a moment to come to its end; one that has not is interrupted.
func (s *Service) work(ctx context.Context, q *jobs) {
	doing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	defer running.Wait() // before stop
	defer context.AfterFunc(ctx, func() { time.AfterFunc(laterTimeout, stop) })()
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
				s.Log.WarnContext(ctx, "jobs not looked for", "kind", q.kind, "cause", err)
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

// doJob does a job and returns when it has come to its end, or has had its time: then
// it is given up. Its context has long ended, and whatever holds it all the same is left
// behind with what it holds, because nothing ends a goroutine from outside; when that
// returns after all, the claim is lost and it changes nothing. Whoever claims the
// job next takes it for interrupted.
func (s *Service) doJob(ctx context.Context, q *jobs, j Job) {
	doing, cancel := context.WithTimeout(ctx, jobTimeout)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		defer func() { // nobody's request: it must not end the service
			if p := recover(); p != nil {
				s.Log.ErrorContext(doing, "a panic in a job", "kind", j.Kind, "sid", j.SID, "panic", fmt.Sprint(p))
			}
		}()
		q.do(doing, j)
	}()
	<-doing.Done() // it is done, has had its time, or the service ends
	select {
	case <-done:
	case <-time.After(jobSettle + jobLast):
		s.Log.ErrorContext(ctx, "a job was given up: it did not end in its time", "kind", j.Kind, "sid", j.SID, "tries", j.Tries)
		if s.GaveUp != nil {
			s.GaveUp(j.Kind)
		}
	}
}

// settle does what ends or puts off a job, again while the store is in trouble, for
// a while that ends before the claim's lease does.
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

// A letter is what is sealed in the job of a code: all that sending it needs.
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

// sendCode sends a code that is still wanted. What becomes of it is in the
// audit trail: one event for each job, and one more if the job was interrupted.
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
		failed("too late", hash, errors.New("it lay in the outbox for longer than it lives"))
		return
	case err != nil:
		s.putOff(ctx, j, jobAgain)
		return
	case !live: // replaced, used up, or the login is over: its owner waits for another one, or for none
		end("not needed", nil)
		return
	}
	if j.Interrupted {
		// Nobody knows whether it went out. It is the same code with the same id: better
		// twice than never.
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
	case errors.Is(ctx.Err(), context.Canceled): // the service ends in the middle: whoever comes next takes it for interrupted
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

// closeLater has the OMS told of the end of a session that it has opened and that
// was not stored. If that is lost, the session ends there by itself.
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

// closeSession tells the OMS that a session has ended, later again if the OMS
// cannot be told now, until the session would have ended by itself.
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
