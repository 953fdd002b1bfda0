package paper

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"neoapi/internal/paper/listing"
	"neoapi/internal/paper/tape"
	"neoapi/internal/recording"
)

// priceIn returns a price of a picture, 0 if it is not known.
func priceIn(q *recording.Quote, f recording.Field) listing.Price {
	v, _ := q.Get(f)
	return tape.PriceOf(v)
}

// What the log says of a recording: all that came of it, so that a restart needs nothing
// else to be where it was.
const (
	replayBegins byte = iota + 1
	replayLists
	replayTicks
	replayEnds
)

func (x *Exchange) logReplay(id string, shift int64, days int) *Refusal {
	if !x.logs() {
		return nil
	}
	b := appendText(append(x.recordOf(recordReplay), replayBegins), id)
	return x.write(binary.AppendVarint(binary.AppendVarint(b, shift), int64(days)))
}

func (x *Exchange) logRecorded(r *Recorded) *Refusal {
	if !x.logs() {
		return nil
	}
	b := x.recordOf(recordReplay)
	switch {
	case r.Listed != nil:
		text, err := json.Marshal(r.Listed)
		if err != nil {
			panic("paper: " + err.Error()) // texts and numbers alone
		}
		b = appendText(append(b, replayLists), string(text))
	case r.Quote != nil:
		b = recording.AppendQuote(appendKey(append(b, replayTicks), r.Key), x.picture(r.Key), r.Quote)
	default:
		b = append(b, replayEnds)
	}
	return x.write(b)
}

// picture returns the last picture of an instrument, an empty one if none came.
func (x *Exchange) picture(k listing.Key) *recording.Quote {
	if in := x.find(k); in != nil && in.replayed {
		if q, _ := x.market.Recorded(in.Instrument); q != nil {
			return q
		}
	}
	return &recording.Quote{}
}

// decodeReplay returns what a record of a recording does.
func (x *Exchange) decodeReplay(now time.Time, r *reader) func() *Refusal {
	switch r.byte() {
	case replayBegins:
		id, shift, days := r.text(), r.int(), r.int()
		return func() *Refusal {
			x.Run(now)
			x.beginReplay(id, shift, int(days))
			return nil
		}
	case replayLists:
		var all []recording.Instrument
		if json.Unmarshal([]byte(r.text()), &all) != nil {
			return nil
		}
		return func() *Refusal {
			x.Run(now)
			x.recorded(&Recorded{Listed: all})
			return nil
		}
	case replayTicks:
		key, change := r.key(), r.b
		r.b = nil
		return func() *Refusal {
			x.Run(now)
			q := *x.picture(key)
			if rest, ok := q.Change(change); !ok || len(rest) > 0 {
				return &Refusal{Invalid, "", "a record of a recording is damaged"}
			}
			x.recorded(&Recorded{Key: key, Quote: &q})
			return nil
		}
	case replayEnds:
		return func() *Refusal {
			x.Run(now)
			x.recorded(&Recorded{Over: true})
			return nil
		}
	}
	return nil
}

// savedReplay is what a snapshot has of a recording, beside the prices.
type savedReplay struct {
	ID     string                 `json:"id"`
	Shift  int64                  `json:"shift"`
	Days   int                    `json:"days"`
	Taken  int64                  `json:"taken"`
	Over   bool                   `json:"over,omitempty"`
	Listed []recording.Instrument `json:"listed,omitempty"`
}

func (r *replay) save() *savedReplay {
	if r.id == "" {
		return nil
	}
	return &savedReplay{r.id, r.shift, r.days, r.taken, r.over, r.source}
}

// restoreReplay takes what a snapshot has of a recording, before anything is listed.
func (x *Exchange) restoreReplay(s *savedReplay) error {
	if s == nil {
		return nil
	}
	x.beginReplay(s.ID, s.Shift, s.Days)
	x.replay.taken, x.replay.over = s.Taken, s.Over
	day := listing.On(x.date)
	for n := range s.Listed {
		i, err := day.Adopt(&s.Listed[n], s.Days)
		if err != nil {
			return fmt.Errorf("paper: %w", err)
		}
		x.adopt(&s.Listed[n], i)
	}
	return nil
}
