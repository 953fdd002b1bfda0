package trade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"neoapi"
	"neoapi/internal/tradewire"
)

var errNoSegments = errors.New("the service lists no scrip master")

// now returns the time by the clock of the client's configuration.
func (t *Client) now() time.Time { return time.Now() }

// Instrument returns the instrument with a trading symbol, such as "TCS-EQ", from today's
// scrip master: see [Client.Instruments].
func (t *Client) Instrument(ctx context.Context, segment Segment, symbol string) (Instrument, error) {
	m, err := t.Instruments(ctx, segment)
	if err != nil {
		return Instrument{}, err
	}
	return m.Symbol(segment, symbol)
}

// Instruments returns today's scrip masters of the segments: of all that the service has,
// if none is given.
func (t *Client) Instruments(ctx context.Context, segments ...Segment) (*Master, error) {
	m := &Master{}
	var listed map[Segment]string
	for n, s := range segments {
		segments[n] = s.wire()
	}
	if len(segments) == 0 {
		var err error
		if listed, err = t.masterFiles(ctx); err != nil {
			return nil, err
		}
		for s := range listed {
			segments = append(segments, s)
		}
	}
	slices.Sort(segments)
	for _, s := range slices.Compact(segments) {
		f, err := t.scrips(ctx, s)
		if err != nil {
			return nil, err
		}
		m.files = append(m.files, f)
	}
	return m, nil
}

var keptScrips sync.Map

type keptKey struct {
	api *neoapi.Client
	seg Segment
	day Date
}

func (t *Client) scrips(ctx context.Context, s Segment) (*scrips, error) {
	k := keptKey{t.api, s, DateOf(t.now())}
	if f, ok := keptScrips.Load(k); ok {
		return f.(*scrips), nil
	}
	listed, err := t.masterFiles(ctx)
	if err != nil {
		return nil, err
	}
	url, ok := listed[s]
	if !ok {
		return nil, fmt.Errorf("%w: the service lists no scrip master of %s", ErrNotOffered, s)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the scrip master of %s: %s", s, resp.Status)
	}
	f, err := readScrips(resp.Body, s, k.day)
	if err != nil {
		return nil, err
	}
	keptScrips.Store(k, f)
	return f, nil
}

// masterFiles returns where the files of the day's scrip masters are.
func (t *Client) masterFiles(ctx context.Context) (map[Segment]string, error) {
	raw, err := t.get(ctx, tradewire.PathMaster, nil, nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		FilesPaths []json.RawMessage `json:"filesPaths"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || len(answer.FilesPaths) == 0 {
		return nil, errors.Join(errNoSegments, err)
	}
	files := map[Segment]string{}
	for _, raw := range answer.FilesPaths {
		var url string
		if json.Unmarshal(raw, &url) != nil {
			continue
		}
		plain, _, _ := strings.Cut(url, "?")
		name := strings.ToLower(plain[strings.LastIndexByte(plain, '/')+1:])
		for _, s := range []Segment{NSE, BSE, NFO, BFO, MCX, CDS} {
			if _, have := files[s]; !have && strings.HasPrefix(name, string(s)) {
				files[s] = url
			}
		}
	}
	if len(files) == 0 {
		return nil, errNoSegments
	}
	return files, nil
}
