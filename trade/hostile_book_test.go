package trade_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/trade"
)

// A scene is a service whose answer to an order is lost, with a book and histories.
type scene struct {
	book    string            // rows, where TAG is the tag that was sent
	history map[string]string // rows by number
	trades  string
}

// play places an order at the service and returns what Place says, and how often the order
// was sent.
func (s scene) play(t *testing.T, place func(*trade.Client) (trade.Order, error)) (order trade.Order, sent int64, err error) {
	t.Helper()
	var places atomic.Int64
	var mu sync.Mutex
	tag := "not-sent"
	api := answeringTo(t, func(path, form string) (int, string) {
		mu.Lock()
		defer mu.Unlock()
		list := func(rows string) (int, string) {
			if rows == "" {
				return 200, noOrders
			}
			return 200, `{"stat":"Ok","stCode":200,"data":[` + strings.ReplaceAll(rows, "TAG", tag) + `]}`
		}
		switch {
		case strings.HasSuffix(path, "/place"):
			places.Add(1)
			_, tag, _ = strings.Cut(form, `"ig":"`)
			tag, _, _ = strings.Cut(tag, `"`)
			return 502, "<html>"
		case strings.HasSuffix(path, "/history"):
			for number, rows := range s.history {
				if strings.Contains(form, `"`+number+`"`) {
					return list(rows)
				}
			}
			return 200, noOrders
		case strings.HasSuffix(path, "/trades"):
			return list(s.trades)
		}
		return list(s.book)
	})
	order, err = place(api)
	return order, places.Load(), err
}

// answeringTo is answering with the field jData too.
func answeringTo(t testing.TB, answer func(path, jData string) (int, string)) *trade.Client {
	t.Helper()
	return answeringWith(t, func(path, body string) (int, string) {
		form, _ := url.ParseQuery(body)
		return answer(path, form.Get("jData"))
	})
}

const (
	rowAny  = `"ordSt":"open","exSeg":"nse_cm","tok":"11536","trdSym":"TCS-EQ","qty":1,"fldQty":0,"prc":"0","trgPrc":"0.00","prcTp":"L","vldt":"DAY","prod":"MIS","trnsTp":"B","updRecvTm":1796060873181000000`
	changed = `1796060873-261130000000001-UCC01-ADMINAPI`
)

func row(number, tag string) string {
	return `{"nOrdNo":` + number + `,"GuiOrdId":` + tag + `,` + rowAny + `}`
}

// What a book says in a form that cannot be read can be the order that is looked for: it is
// never said to be not placed.
func TestPlace_neverSaysNotPlacedOfWhatCanBeTheOrder(t *testing.T) {
	t.Parallel()
	const n = `"261130000000001"`
	bare := func(s string) string { return strings.Trim(s, `"`) }
	for name, s := range map[string]scene{
		"a tag of another form":                     {book: row(n, `{"x":1}`)},
		"a tag that is a list":                      {book: row(n, `["TAG"]`)},
		"a tag that is true":                        {book: row(n, `true`)},
		"our tag, and no number":                    {book: row(`""`, `"TAG"`)},
		"our tag, and a number of another form":     {book: row(`{"a":1}`, `"TAG"`)},
		"a replaced tag, and an empty history":      {book: row(n, `"`+changed+`"`)},
		"a replaced tag, and a history without it":  {book: row(n, `"`+changed+`"`), history: map[string]string{bare(n): row(n, `"`+changed+`"`)}},
		"a replaced tag, and a history of another":  {book: row(n, `"`+changed+`"`), history: map[string]string{bare(n): row(`"261130000000009"`, `"other-abcdefgh"`)}},
		"a replaced tag, and tags of another form":  {book: row(n, `"`+changed+`"`), history: map[string]string{bare(n): row(n, `[]`) + "," + row(n, `{}`)}},
		"a replaced tag, and a side that is absent": {book: strings.Replace(row(n, `"`+changed+`"`), `"trnsTp":"B"`, `"trnsTp":"NA"`, 1)},
		"a replaced tag, and a side of its own":     {book: strings.Replace(row(n, `"`+changed+`"`), `"trnsTp":"B"`, `"trnsTp":{}`, 1)},
		"a replaced tag, and no product":            {book: strings.Replace(row(n, `"`+changed+`"`), `"prod":"MIS"`, `"prod":5`, 1)},
		"a replaced tag, and no instrument":         {book: strings.Replace(row(n, `"`+changed+`"`), `"exSeg":"nse_cm","tok":"11536","trdSym":"TCS-EQ"`, `"exSeg":"--"`, 1)},
		"no tag, and an empty history":              {book: row(n, `""`)},
		"fills of another form":                     {trades: `{"nOrdNo":` + n + `,"GuiOrdId":{},"fldQty":1,"avgPrc":"1"}`},
		"our fill, and no number":                   {trades: `{"nOrdNo":"","GuiOrdId":"TAG","fldQty":1,"avgPrc":"1"}`},
	} {
		for way, place := range ways(t) {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				order, sent, err := s.play(t, place)
				if !errors.Is(err, trade.ErrUnknown) || sent > 1 {
					if way == "PlaceOnce" && sent == 0 && err != nil && !errors.Is(err, trade.ErrNotPlaced) {
						return // it was not even placed
					}
					t.Errorf("%+v, %v, sent %d times", order, err, sent)
				}
			})
		}
	}
}

func ways(t *testing.T) map[string]func(*trade.Client) (trade.Order, error) {
	order := trade.Buy(share(), 1).Market().Product(trade.MIS)
	return map[string]func(*trade.Client) (trade.Order, error){
		"Place": func(api *trade.Client) (trade.Order, error) {
			return api.Place(t.Context(), order.Tag(trade.Label("a")))
		},
		"PlaceOnce": func(api *trade.Client) (trade.Order, error) {
			return api.Place(t.Context(), order.Tag(trade.DayTag("a")))
		},
	}
}

// An order is found by what its history says, and orders of others do not stand in the way.
func TestPlace_findsTheOrderBesideThoseOfOthers(t *testing.T) {
	t.Parallel()
	const mine, phone = `"261130000000001"`, `"261130000000002"`
	for name, s := range map[string]scene{
		"in its history, with an empty tag in the book": {book: row(phone, `"UCC01-5b2b7c1e"`) + "," + row(mine, `"NA"`), history: map[string]string{"261130000000001": row(mine, `"TAG"`)}},
		"in its history, with a tag of another form":    {book: row(mine, `{}`), history: map[string]string{"261130000000001": row(mine, `{}`) + "," + row(mine, `"TAG"`)}},
		"without a side": {book: strings.Replace(row(mine, `"TAG"`), `"trnsTp":"B"`, `"trnsTp":{}`, 1)},
	} {
		for way, place := range ways(t) {
			if order, sent, err := s.play(t, place); way == "Place" && (order.Number != "261130000000001" || err != nil || sent != 1) {
				t.Errorf("%s, %s: %+v, %v, sent %d times", name, way, order, err, sent)
			} else if way == "PlaceOnce" && err != nil {
				t.Errorf("%s, %s: %+v, %v, sent %d times", name, way, order, err, sent)
			}
		}
	}
	// Orders that the service shows without a tag everywhere were sent without one.
	s := scene{book: row(phone, `""`), history: map[string]string{"261130000000002": row(phone, `"NA"`) + "," + row(phone, `""`)}}
	if _, _, err := s.play(t, ways(t)["Place"]); !errors.Is(err, trade.ErrNotPlaced) {
		t.Error(err)
	}
}

// A number is one that an order can have, and the only one.
func TestPlace_aNumberThatIsNoneIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"stat":"Ok","nOrdNo":0}`, `{"stat":"Ok","nOrdNo":"0"}`, `{"stat":"Ok","nOrdNo":"000000000000000"}`,
		`{"stat":"Ok","nOrdNo":"261130000000001","nOrdNo":"261130000000002"}`, `{"stat":"Ok","nOrdNo":"","nOrdNo":"261130000000002"}`,
	} {
		api := answering(t, func(path string) (int, string) {
			if strings.HasSuffix(path, "/place") {
				return 200, answer
			}
			return 200, noOrders
		})
		order, err := api.Place(t.Context(), trade.Buy(share(), 1).Market().Product(trade.MIS))
		if order.Number != "" || !errors.Is(err, trade.ErrNotPlaced) {
			t.Errorf("%s: %s, %v", answer, order.Number, err)
		}
	}
}

// Orders of a label that cannot be told from others are not left out.
func TestOpen_leavesNoOrderOut(t *testing.T) {
	t.Parallel()
	const n = `"261130000000001"`
	for name, s := range map[string]scene{
		"a replaced tag":        {book: row(n, `"`+changed+`"`)},
		"a tag of another form": {book: row(n, `{}`)},
		"an empty tag":          {book: row(n, `""`)},
	} {
		_, _, _ = s.play(t, func(api *trade.Client) (trade.Order, error) {
			if open, err := api.Open(t.Context(), "leg"); err == nil || open != nil {
				t.Errorf("%s: %+v, %v", name, open, err)
			}
			if done, err := api.CancelAll(t.Context(), trade.Tagged("leg")); err == nil || done != nil {
				t.Errorf("%s: %+v, %v", name, done, err)
			}
			return trade.Order{}, nil
		})
	}
}

// A change is refused if the service says so, and not because it cannot be asked.
func TestChange_isRefusedOnlyIfTheServiceSaysSo(t *testing.T) {
	t.Parallel()
	for op, state := range map[string]string{"modify": "not cancelled", "cancel": "not modified"} {
		for name, history := range map[string]string{"no history": `<html>`, "another change": `{"stat":"Ok","data":[{"nOrdNo":"1","ordSt":"` + state + `","updRecvTm":1796060873181000009}]}`} {
			var reads atomic.Int64
			api := answering(t, func(path string) (int, string) {
				switch {
				case strings.HasSuffix(path, "/history"):
					return 200, history
				case strings.HasSuffix(path, "/modify"), strings.HasSuffix(path, "/cancel"):
					return 200, `{"stat":"Ok","nOrdNo":"1","stCode":200}`
				}
				n := reads.Add(1) // the exchange says other things of it, again and again
				r := strings.Replace(row(`"1"`, `"x"`), `181000000`, fmt.Sprint(181000000+n), 1)
				return 200, `{"stat":"Ok","data":[` + strings.Replace(r, `{`, `{"rejRsn":"of an older change",`, 1) + `]}`
			})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			before := must.Get(api.Order(ctx, "1"))(t)
			var err error
			if op == "modify" {
				_, err = api.Modify(ctx, before, trade.Change{Price: rupees("5")})
			} else {
				_, err = api.Cancel(ctx, before)
			}
			cancel()
			if !errors.Is(err, trade.ErrUnknown) || errors.Is(err, trade.ErrRejected) {
				t.Errorf("%s, %s: %v", op, name, err)
			}
		}
	}
}

// What a change has that would be refused as an order is refused before it is sent.
func TestModify_checksAllOfTheChange(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	api := answering(t, func(path string) (int, string) {
		if strings.HasSuffix(path, "/modify") {
			sent.Add(1)
		}
		return 200, `{"stat":"Ok","nOrdNo":"1","data":[` + strings.Replace(row(`"1"`, `"x"`), `"prc":"0"`, `"prc":"5"`, 1) + `]}`
	})
	for field, change := range map[string]trade.Change{
		"disclosed quantity": {Disclosed: -1}, "disclosed quantity ": {Disclosed: 2}, "validity": {Validity: "FOREVER"}, "quantity": {Quantity: -5},
		"price": {Price: rupees("0")}, "price ": {Price: rupees("-5")}, "trigger": {Trigger: rupees("-1")}, "price type": {Type: "XYZ"},
	} {
		_, err := api.Modify(t.Context(), trade.Order{Number: "1"}, change)
		if bad, ok := errors.AsType[*trade.Invalid](err); !ok || bad.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if sent.Load() != 0 {
		t.Errorf("%d changes were sent", sent.Load())
	}
}

// A conversion that the service accepted is never said to be not made.
func TestConvert_ofAnAcceptedOneIsNeverUnchanged(t *testing.T) {
	t.Parallel()
	const held = `{"exSeg":"nse_cm","tok":"11536","trdSym":"TCS-EQ","prod":"MIS","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"10","flSellQty":"0"}`
	for status, want := range map[int]error{200: trade.ErrUnknown, 502: trade.ErrUnchanged} {
		var reads atomic.Int64
		api := answering(t, func(path string) (int, string) {
			switch {
			case strings.Contains(path, "/convert/"):
				return status, map[int]string{200: `{"stat":"Ok","stCode":200}`, 502: `<html>`}[status]
			case reads.Add(1) == 2:
				return 500, ``
			}
			return 200, `{"stat":"Ok","data":[` + held + `]}`
		})
		_, err := api.Convert(t.Context(), trade.Position{Instrument: share(), Product: trade.MIS, Net: 10}, 10, trade.CNC)
		if !errors.Is(err, want) || status == 200 && errors.Is(err, trade.ErrUnchanged) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// SquareOff sends nothing if it cannot be sure what is held.
func TestSquareOff_doesNotGuess(t *testing.T) {
	t.Parallel()
	const held = `{"exSeg":"nse_cm","tok":"11536","trdSym":"TCS-EQ","prod":"MIS","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"10","flSellQty":"0"}`
	fill := `{"nOrdNo":"261130000000001","exSeg":"nse_cm","tok":"11536","trdSym":"TCS-EQ","prod":"MIS","trnsTp":"B","fldQty":5,"avgPrc":"1"}`
	for name, s := range map[string]struct{ positions, trades string }{
		"a position twice":         {held + "," + held, ""},
		"a quantity that lacks":    {strings.Replace(held, `,"flSellQty":"0"`, "", 1), ""},
		"a quantity of its own":    {strings.Replace(held, `"flSellQty":"0"`, `"flSellQty":"NaN"`, 1), ""},
		"a negative quantity":      {strings.Replace(held, `"flSellQty":"0"`, `"flSellQty":"-5"`, 1), ""},
		"more than there can be":   {strings.Replace(held, `"flSellQty":"0"`, `"flSellQty":"9223372036854775807"`, 1) + "," + held, ""},
		"no product":               {strings.Replace(held, `"MIS"`, `{}`, 1), ""},
		"no segment":               {strings.Replace(held, `"nse_cm"`, `{}`, 1), ""},
		"no instrument":            {strings.Replace(held, `"tok":"11536","trdSym":"TCS-EQ"`, `"tok":[]`, 1), ""},
		"fills without a side":     {held, strings.Replace(fill, `"trnsTp":"B"`, `"trnsTp":""`, 1)},
		"fills of an unknown side": {held, strings.Replace(fill, `"trnsTp":"B"`, `"trnsTp":"X"`, 1)},
		"fills without a quantity": {held, strings.Replace(fill, `"fldQty":5`, `"fldQty":"?"`, 1)},
		"negative fills":           {held, strings.Replace(fill, `"fldQty":5`, `"fldQty":-5`, 1)},
		"fills of no order":        {held, strings.Replace(fill, `"261130000000001"`, `{}`, 1)},
	} {
		var sent atomic.Int64
		api := answering(t, func(path string) (int, string) {
			switch {
			case strings.HasSuffix(path, "/place"), strings.HasSuffix(path, "/cancel"):
				sent.Add(1)
			case strings.HasSuffix(path, "/positions"):
				return 200, `{"stat":"ok","data":[` + s.positions + `]}`
			case strings.HasSuffix(path, "/trades"):
				return 200, `{"stat":"ok","data":[` + s.trades + `]}`
			case strings.Contains(path, "/orders"):
				return 200, `{"stat":"ok","data":[` + strings.Replace(row(`"261130000000001"`, `"leg-abcdefgh"`), `"open"`, `"complete"`, 1) + `]}`
			}
			return 404, ``
		})
		only := trade.All
		if s.trades != "" {
			only = trade.Tagged("leg")
		}
		done, err := api.SquareOff(t.Context(), only, trade.Within(200*time.Millisecond))
		if err == nil || sent.Load() != 0 {
			t.Errorf("%s: sent %d, %v, %v", name, sent.Load(), done, err)
		}
	}
}

// A service does not make the package hold much more than it sends.
func TestReports_ofManyEmptyRowsAreRefused(t *testing.T) {
	t.Parallel()
	text := `{"stat":"Ok","data":[{}` + strings.Repeat(`,{}`, 5_000_000) + `]}`
	api := answering(t, func(string) (int, string) { return 200, text })
	for name, call := range map[string]func() error{
		"orders":    func() error { _, err := api.Orders(t.Context()); return err },
		"history":   func() error { _, err := api.History(t.Context(), "1"); return err },
		"trades":    func() error { _, err := api.Trades(t.Context()); return err },
		"positions": func() error { _, err := api.Positions(t.Context()); return err },
		"holdings":  func() error { _, err := api.Holdings(t.Context()); return err },
	} {
		if err := call(); !errors.Is(err, neoapi.ErrBadAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A secret that the service repeats is in no error, and in nothing that a program prints.
func TestErrors_haveNoSecret(t *testing.T) {
	t.Parallel()
	secrets := []string{"token-s3cr3t-AAAA", "sid-s3cr3t-BBBB", "key-s3cr3t-CCCC"}
	all := strings.Join(secrets, " ")
	for _, answer := range []string{
		`{"stat":"Not_Ok","stCode":1009,"errMsg":"` + all + `"}`, `{"stat":"Not_Ok","stCode":"` + all + `","emsg":"x"}`, `{"stat":"` + all + `"}`, `<html>` + all, `{"nOrdNo":"` + all + `"}`,
		`{"stat":"Not_Ok","stCode":100008,"errMsg":"` + all + `"}`, `{"stat":"Not_Ok","stCode":32,"errMsg":"` + all + `"}`, `{"stat":"Ok","data":"` + all + `"}`, `[` + all, `{"error":true,"message":"` + all + `"}`,
	} {
		for _, status := range []int{200, 400, 401, 403, 404, 429, 500} {
			c := must.Get(neoapi.New(neoapi.Config{Environment: "http://127.0.0.1:1", ConsumerKey: secrets[2], AccessToken: "access", Rate: -1, HTTPClient: serving(func(string, string) (int, string) { return status, answer })}))(t)
			must.Do(t, c.Use(neoapi.Session{Token: secrets[0], SID: secrets[1], UCC: "UCC01", KType: "Trade"}))
			api := trade.New(c)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			order := trade.Buy(share(), 1).Market().Product(trade.MIS)
			known := trade.Order{Number: "1", State: trade.Open}
			said := []any{api}
			note := func(v any, err error) { said = append(said, v, err) }
			o, err := api.Place(ctx, order)
			note(o, err)
			o, err = api.PlaceOnce(ctx, order.Tag(trade.DayTag("a")))
			note(o, err)
			o, err = api.Modify(ctx, known, trade.Change{Quantity: 5})
			note(o, err)
			o, err = api.Cancel(ctx, known)
			note(o, err)
			list, err := api.Orders(ctx)
			note(list, err)
			alone := len(said) // these carry the key alone
			quotes, err := api.Quotes(ctx, []trade.Instrument{share()})
			note(quotes, err)
			candles, err := api.Candles(ctx, share(), trade.FiveMinutes, time.Now().Add(-time.Hour), time.Now())
			note(candles, err)
			master, err := api.Instruments(ctx, trade.NSE)
			note(master, err)
			cancel()
			for i, v := range said {
				secrets := secrets
				if i >= alone {
					secrets = secrets[2:]
				}
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
					text := fmt.Sprintf(verb, v)
					for _, secret := range secrets {
						if strings.Contains(text, secret) {
							t.Errorf("%d %.60s: %T printed by %s has %s:\n%.600s", status, answer, v, verb, secret, text)
						}
					}
				}
				for e, ok := v.(error); ok && e != nil; e = errors.Unwrap(e) {
					for _, secret := range secrets {
						if strings.Contains(fmt.Sprintf("%+v %#v", e, e), secret) {
							t.Errorf("%d %.60s: %T inside has %s", status, answer, e, secret)
						}
					}
				}
			}
		}
	}
}

// A refused address is told apart in every call about an order, which is sent once.
func TestAddress_isToldApartInEveryCall(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"100008", "1037"} {
		for _, status := range []int{200, 400, 401, 403} {
			var sent atomic.Int64
			api := answering(t, func(path string) (int, string) {
				switch {
				case strings.HasSuffix(path, "/place"), strings.HasSuffix(path, "/modify"), strings.HasSuffix(path, "/cancel"), strings.Contains(path, "/exit"), strings.Contains(path, "/convert"):
					sent.Add(1)
					return status, `{"stat":"Not_Ok","stCode":` + code + `,"errMsg":"unauthorized"}`
				case strings.HasSuffix(path, "/positions"), strings.HasSuffix(path, "/trades"):
					return 200, noOrders
				}
				return 200, `{"stat":"Ok","data":[` + strings.Replace(row(`"1"`, `"x"`), `"prc":"0"`, `"prc":"5"`, 1) + `]}`
			})
			all := methods(api)
			known := trade.Order{Number: "1", Product: trade.Cover, State: trade.Open}
			all["Modify"] = func(ctx context.Context) error {
				_, err := api.Modify(ctx, known, trade.Change{Quantity: 2})
				return err
			}
			all["Cancel"] = func(ctx context.Context) error { _, err := api.Cancel(ctx, known); return err }
			all["Exit"] = func(ctx context.Context) error { _, err := api.Exit(ctx, known); return err }
			for _, name := range []string{"Place", "PlaceOnce", "Modify", "Cancel", "Exit", "Convert", "CancelAll", "Basket"} {
				sent.Store(0)
				err := all[name](t.Context())
				if !errors.Is(err, trade.ErrAddress) || errors.Is(err, trade.ErrUnknown) || sent.Load() != 1 || !strings.Contains(err.Error(), "reads and feeds go on") {
					t.Errorf("%s, %s, %d: sent %d times: %v", name, code, status, sent.Load(), err)
				}
			}
		}
	}
}

// The quantity of a position, put into an order, closes exactly it, in every segment and
// under its own product.
func TestSquareOff_sendsTheQuantityOfThePosition(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ segment, symbol, product, bought, sold, side, want string }{
		{"mcx_fo", "NATURALGAS26DECFUT", "NRML", "1250", "0", "S", "1250"}, {"mcx_fo", "GOLDM26DECFUT", "MIS", "0", "100", "B", "100"},
		{"nse_fo", "NIFTY26DECFUT", "NRML", "130", "65", "S", "65"}, {"bse_cm", "PNB", "MIS", "7", "0", "S", "7"}, {"cde_fo", "USDINR26DECFUT", "NRML", "0", "3", "B", "3"},
	} {
		var bodies []string
		var mu sync.Mutex
		api := answeringTo(t, func(path, jData string) (int, string) {
			switch {
			case strings.HasSuffix(path, "/place"):
				mu.Lock()
				defer mu.Unlock()
				bodies = append(bodies, jData)
				return 200, `{"stat":"Ok","nOrdNo":"261130000000001","stCode":200}`
			case strings.HasSuffix(path, "/positions"):
				return 200, `{"stat":"ok","data":[{"exSeg":"` + x.segment + `","tok":"5001","trdSym":"` + x.symbol + `","prod":"` + x.product + `","lotSz":"1","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"` + x.bought + `","flSellQty":"` + x.sold + `"}]}`
			case strings.HasSuffix(path, "/orders/261130000000001"):
				return 200, `{"stat":"Ok","data":[{"nOrdNo":"261130000000001","ordSt":"complete","qty":1,"fldQty":1}]}`
			case strings.HasSuffix(path, "/orders"):
				return 200, noOrders
			}
			return 404, ``
		})
		if _, err := api.SquareOff(t.Context(), trade.All); err != nil {
			t.Errorf("%s: %v", x.symbol, err)
		}
		if len(bodies) != 1 || !strings.Contains(bodies[0], `"qt":"`+x.want+`"`) || !strings.Contains(bodies[0], `"tt":"`+x.side+`"`) || !strings.Contains(bodies[0], `"pc":"`+x.product+`"`) || !strings.Contains(bodies[0], `"es":"`+x.segment+`"`) {
			t.Errorf("%s: %s", x.symbol, bodies)
		}
	}
}
