package serve

import (
	"context"

	"neoapi/internal/login"
	"neoapi/internal/paperfeed"
)

// newFeeds returns the live feeds of the exchange on paper, which take the service's word
// for a session.
func (cfg *Config) newFeeds(svc *login.Service) *paperfeed.Feeds {
	return paperfeed.New(paperfeed.Config{
		API: cfg.paper, Now: svc.Now, Log: cfg.Log, AtOnce: (cfg.Limits.Connections*3 + 3) / 4, Faults: cfg.Faults.OfFeed,
		Prove: func(ctx context.Context, ucc, sid, token string) (paperfeed.Session, error) {
			ctx, cancel := login.WithPatience(ctx)
			defer cancel()
			s, err := svc.FeedSession(ctx, ucc, sid, token)
			if err != nil {
				return paperfeed.Session{}, err
			}
			return paperfeed.Session{UCC: s.UCC, SID: s.SID, Stands: func(ctx context.Context) (bool, error) {
				ctx, cancel := login.WithPatience(ctx)
				defer cancel()
				return svc.Stands(ctx, s)
			}}, nil
		},
	})
}
