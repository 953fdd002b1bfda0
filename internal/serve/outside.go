package serve

import (
	"errors"

	"neoapi/internal/courier"
	"neoapi/internal/oms"
)

// loadOutside reads the files that describe couriers and OMS.
func (cfg *Config) loadOutside() error {
	var couriers, omsErr error
	if cfg.Couriers != "" {
		cfg.couriers, couriers = courier.Load(cfg.Couriers, cfg.Log)
	}
	if cfg.OMSFile != "" {
		o, timeout, err := oms.Load(cfg.OMSFile)
		if omsErr = err; err == nil {
			cfg.OMS, cfg.OMSTimeout = o, timeout
		}
	}
	return errors.Join(couriers, omsErr)
}
