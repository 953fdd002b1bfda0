package linear

import (
	"context"
	"errors"
	"io"
	"net/rpc"
	"strings"
	"time"

	"neoapi/internal/login"
)

// Serve answers the calls of a [Remote] in another process until it hangs up.
func Serve(s Handle, conn io.ReadWriteCloser) error {
	server := rpc.NewServer()
	if err := server.RegisterName("Store", &Served{s}); err != nil {
		return err
	}
	server.ServeConn(conn)
	return nil
}

// Remote is the store of another process, as far as [Check] uses it.
type Remote struct {
	Handle // nil: the other methods are not called
	client *rpc.Client
}

// NewRemote returns the store that Serve gives at the other end of a connection.
// Close it when done.
func NewRemote(conn io.ReadWriteCloser) *Remote { return &Remote{client: rpc.NewClient(conn)} }

// Close hangs up.
func (r *Remote) Close() error { return r.client.Close() }

// A Call is one call of a method, with the arguments that it takes.
type Call struct {
	Method    string
	SID, Name string
	Bytes     []byte
	Failed    bool
	Code      login.NewOTP
	Claim     login.Claim
	Try       login.Try
	Trade     login.Session
	Event     login.Event
}

// A Result is that of any method. Its error is known by its words.
type Result struct {
	Session login.Session
	State   login.AccountState
	Error   string
}

// Served is what package rpc sees of a store.
type Served struct{ s Handle }

// Do makes a call.
func (x *Served) Do(c Call, res *Result) error {
	ctx := context.Background()
	var err error
	switch c.Method {
	case "Session":
		res.Session, err = x.s.Session(ctx, c.SID)
	case "State":
		res.State, err = x.s.State(ctx, c.Name)
	case "SetOTP":
		_, err = x.s.SetOTP(ctx, c.Code)
	case "DropOTP":
		err = x.s.DropOTP(ctx, c.SID, c.Bytes)
	case "Try":
		err = x.s.Try(ctx, c.Try)
	case "EndTry":
		err = x.s.EndTry(ctx, c.Try, c.Failed, c.Event)
	case "Claim":
		res.Session, _, err = x.s.Claim(ctx, c.Claim)
	case "Fail":
		err = x.s.Fail(ctx, c.SID, c.Name, c.Event)
	case "Refund":
		err = x.s.Refund(ctx, c.SID, c.Name, c.Event)
	case "Complete":
		err = x.s.Complete(ctx, c.Name, c.Trade, c.Event)
	case "End":
		err = x.s.End(ctx, c.SID, c.Name, c.Event)
	case "Revoke":
		err = x.s.Revoke(ctx, c.Name, c.SID, c.Event)
	default:
		return errors.New("no such method: " + c.Method)
	}
	if err != nil {
		res.Error = err.Error()
	}
	return nil
}

func (r *Remote) call(c Call) (Result, error) {
	var res Result
	if err := r.client.Call("Store.Do", c, &res); err != nil {
		return res, err
	}
	if res.Error == "" {
		return res, nil
	}
	for _, err := range promised {
		if strings.HasPrefix(res.Error, err.Error()) { // a lock tells for how long
			return res, err
		}
	}
	return res, errors.New(res.Error)
}

// Session implements [Handle], as the others below do.
func (r *Remote) Session(_ context.Context, sid string) (login.Session, error) {
	res, err := r.call(Call{Method: "Session", SID: sid})
	return res.Session, err
}

// State implements [Handle].
func (r *Remote) State(_ context.Context, account string) (login.AccountState, error) {
	res, err := r.call(Call{Method: "State", Name: account})
	return res.State, err
}

// SetOTP implements [Handle], but for the wait.
func (r *Remote) SetOTP(_ context.Context, o login.NewOTP) (time.Duration, error) {
	_, err := r.call(Call{Method: "SetOTP", Code: o})
	return 0, err
}

// DropOTP implements [Handle].
func (r *Remote) DropOTP(_ context.Context, sid string, otp []byte) error {
	_, err := r.call(Call{Method: "DropOTP", SID: sid, Bytes: otp})
	return err
}

// Try implements [Handle].
func (r *Remote) Try(_ context.Context, t login.Try) error {
	_, err := r.call(Call{Method: "Try", Try: t})
	return err
}

// EndTry implements [Handle].
func (r *Remote) EndTry(_ context.Context, t login.Try, failed bool, e login.Event) error {
	_, err := r.call(Call{Method: "EndTry", Try: t, Failed: failed, Event: e})
	return err
}

// Claim implements [Handle].
func (r *Remote) Claim(_ context.Context, c login.Claim) (login.Session, login.Account, error) {
	res, err := r.call(Call{Method: "Claim", Claim: c})
	return res.Session, login.Account{}, err
}

// Fail implements [Handle].
func (r *Remote) Fail(_ context.Context, sid, claim string, e login.Event) error {
	_, err := r.call(Call{Method: "Fail", SID: sid, Name: claim, Event: e})
	return err
}

// Refund implements [Handle].
func (r *Remote) Refund(_ context.Context, sid, claim string, e login.Event) error {
	_, err := r.call(Call{Method: "Refund", SID: sid, Name: claim, Event: e})
	return err
}

// Complete implements [Handle].
func (r *Remote) Complete(_ context.Context, claim string, t login.Session, e login.Event) error {
	_, err := r.call(Call{Method: "Complete", Name: claim, Trade: t, Event: e})
	return err
}

// End implements [Handle].
func (r *Remote) End(_ context.Context, sid, token string, e login.Event) error {
	_, err := r.call(Call{Method: "End", SID: sid, Name: token, Event: e})
	return err
}

// Revoke implements [Handle].
func (r *Remote) Revoke(_ context.Context, account, sid string, e login.Event) error {
	_, err := r.call(Call{Method: "Revoke", Name: account, SID: sid, Event: e})
	return err
}
