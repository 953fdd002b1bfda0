package serve

import (
	"context"
	"errors"

	"neoapi/internal/courier"
	"neoapi/internal/login"
	"neoapi/internal/oms"
	"neoapi/internal/outward"
)

// Outside is the state of what the service calls. None of it stops the service:
// sessions are checked without couriers and OMS.
type Outside struct {
	Couriers []outward.State // in the file's order; none without a file
	OMS      *outward.State  // nil for the one built in
	Codes    login.Queue     // codes that are to be sent
	Closings login.Queue     // sessions of whose end the OMS is to be told
}

// Outside tells how what the service calls does, as far as the last calls tell: it
// calls nobody but the store, whose error it returns beside the rest.
func (s *Server) Outside(ctx context.Context) (o Outside, err error) {
	if s.couriers != nil {
		o.Couriers = s.couriers.States()
	}
	if s.remote != nil {
		state := s.remote.State()
		o.OMS = &state
	}
	var codes, closings error
	o.Codes, codes = s.login.Sessions.Jobs(ctx, login.JobCode)
	o.Closings, closings = s.login.Sessions.Jobs(ctx, login.JobClose)
	return o, errors.Join(codes, closings)
}

// loadOutside reads the files of couriers and OMS.
func (cfg *Config) loadOutside() error {
	var couriers, omsErr error
	if cfg.Couriers != "" {
		cfg.couriers, couriers = courier.Load(cfg.Couriers, cfg.Log)
	}
	if cfg.OMSFile != "" {
		o, timeout, err := oms.Load(cfg.OMSFile)
		if omsErr = err; err == nil {
			cfg.OMS, cfg.OMSTimeout = o, timeout
			cfg.remote, _ = o.(*oms.Remote)
		}
	}
	return errors.Join(couriers, omsErr)
}
