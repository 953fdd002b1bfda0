package trade

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

func (t *Client) fetch(ctx context.Context, address string) (io.ReadCloser, error) {
	if d, ok := any(t.api).(interface {
		Download(context.Context, string, int64) (io.ReadCloser, error)
	}); ok {
		return d.Download(ctx, address, maxMasterBytes)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s", resp.Status)
	}
	return resp.Body, nil
}
