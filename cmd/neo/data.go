package main

import (
	"context"
	"errors"

	"neoapi/internal/serve"
)

// dataFlag names the data that an operator's command works on.
type dataFlag struct {
	Data string `required:"" placeholder:"DIR" help:"Data directory of the service."`
	databaseFlag
}

func (d dataFlag) place() serve.Place { return d.databaseFlag.place(d.Data) }

// with opens the data and runs f on them.
func (d dataFlag) with(ctx context.Context, f func(*serve.Data) error) error {
	return d.run(ctx, serve.OpenExisting, f)
}

// making is with for a command that may be the first to run: it creates missing data.
func (d dataFlag) making(ctx context.Context, f func(*serve.Data) error) error {
	if d.place().Exists() {
		return d.with(ctx, f)
	}
	if err := d.place().CheckUnused(); err != nil {
		return usage(err)
	}
	open := func(ctx context.Context, p serve.Place) (*serve.Data, error) { return serve.Open(ctx, p, nil) }
	return d.run(ctx, open, func(data *serve.Data) error {
		if err := data.ClaimKind(ctx, serve.Service); err != nil {
			return err
		}
		return f(data)
	})
}

func (d dataFlag) run(ctx context.Context, open func(context.Context, serve.Place) (*serve.Data, error), f func(*serve.Data) error) (err error) {
	data, err := open(ctx, d.place())
	if err != nil {
		return ofStore(usage(err))
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	return ofStore(f(data))
}
