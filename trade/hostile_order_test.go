package trade_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/trade"
)

// answering is a client whose service answers with what a test says: for shapes that no
// real service has.
func answering(t testing.TB, answer func(path string) (int, string)) *trade.Client {
	t.Helper()
	return answeringWith(t, func(path, _ string) (int, string) { return answer(path) })
}

// answeringWith is answering with the body of the request.
func answeringWith(t testing.TB, answer func(path, body string) (int, string)) *trade.Client {
	t.Helper()
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: "http://127.0.0.1:1", ConsumerKey: "key", AccessToken: "access", Rate: -1, HTTPClient: serving(answer),
	}))(t)
	must.Do(t, c.Use(neoapi.Session{Token: "token", SID: "sid", UCC: "UCC01", KType: "Trade"}))
	return trade.New(c)
}

// serving is an http.Client whose every call gets an answer.
func serving(answer func(path, body string) (int, string)) *http.Client {
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		status, text := answer(r.URL.Path, string(body))
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: -1, Request: r}, nil
	})}
}

const noOrders = `{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data"}`

// Only an order number is a success.
func TestPlace_successIsANumber(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"stat":"Ok","nOrdNo":"250122000624384","stCode":200}`:      "250122000624384",
		`{"stat":"Ok","nOrdNo":250122000624384,"stCode":200}`:        "250122000624384",
		`{"nOrdNo" : "250122000624384", "stat":"Ok"}`:                "250122000624384",
		`{"stat":"Ok","data":{"nOrdNo":"250122000624384"}}`:          "250122000624384",
		`{"stat":"Ok","nOrd\u004eo":"250122000624384"}`:              "250122000624384",
		`{"stat":"Ok","stCode":200}`:                                 "",
		`{"stat":"Ok","nOrdNo":"","stCode":200}`:                     "",
		`{"stat":"Ok","nOrdNo":null}`:                                "",
		`{"stat":"Ok","nOrdNo":{"x":"250122000624384"}}`:             "",
		`{"stat":"Ok","nOrdNo":["250122000624384"]}`:                 "",
		`{"stat":"Ok","nOrdNo":"<script>"}`:                          "",
		`{"stat":"Ok","nOrdNo":"1e9"}`:                               "",
		`{"stat":"Ok","text":"\"nOrdNo\":\"5\""}`:                    "",
		`{"stat":"Ok","inner":{"nOrdNo":"5"}}`:                       "",
		`{"stat":"Ok","nOrdNo":"` + strings.Repeat("9", 1000) + `"}`: "",
		`[]`: "", `"Ok"`: "", `null`: "", ``: "", `<html>`: "", `{"stat":"Ok","nOrdNo":"2501220`: "",
	} {
		places := 0
		api := answering(t, func(path string) (int, string) {
			if strings.HasSuffix(path, "/place") {
				places++
				return 200, answer
			}
			return 200, noOrders
		})
		order, err := api.Place(t.Context(), trade.Buy(share(), 1).Market().Product(trade.MIS))
		if order.Number != want || places != 1 || (want == "") != errors.Is(err, trade.ErrNotPlaced) || want != "" && err != nil {
			t.Errorf("%.80s: %q, %v, sent %d times", answer, order.Number, err, places)
		}
	}
}

// A book that cannot be read does not say that an order is not there.
func TestPlace_anUnreadableBookSaysNothing(t *testing.T) {
	t.Parallel()
	for _, book := range []string{``, `{}`, `{"stat":"Ok"}`, `{"stat":"Ok","data":null}`, `{"stat":"Ok","data":{}}`, `{"stat":"Ok","data":"x"}`, `<html>`, `{"stat":"Not_Ok","stCode":1005,"errMsg":"x"}`, `{"stat":"Ok","data":[`} {
		api := answering(t, func(path string) (int, string) {
			if strings.HasSuffix(path, "/place") {
				return 502, "<html>gone"
			}
			return 200, book
		})
		_, err := api.Place(t.Context(), trade.Buy(share(), 1).Market().Product(trade.MIS))
		if lost, ok := errors.AsType[*neoapi.Error](err); !ok || lost.Status != 502 || lost.Answer != "<html>gone" || !lost.Sent {
			t.Errorf("%s: %+v", book, lost)
		}
		if !errors.Is(err, trade.ErrUnknown) || errors.Is(err, trade.ErrNotPlaced) {
			t.Errorf("%s: %v", book, err)
		}
	}
}

// A fuzzed service never makes an order of nothing, nor the package panic or wait for
// longer than its context.
func FuzzPlace(f *testing.F) {
	row := `{"nOrdNo":"250122000624384","GuiOrdId":"x","ordSt":"open","exSeg":"nse_cm","trdSym":"TCS-EQ","qty":10,"fldQty":0,"prc":"3450.00","trgPrc":"0.00","prcTp":"L","vldt":"DAY","prod":"CNC","trnsTp":"B"}`
	f.Add(200, `{"stat":"Ok","nOrdNo":"250122000624384","stCode":200}`, 200, `{"stat":"Ok","data":[`+row+`]}`, `{"stat":"Ok","stCode":200}`)
	f.Add(502, `<html>`, 200, noOrders, noOrders)
	f.Add(200, `{"stat":"Ok","nOrdNo":1}`, 200, `{"data":[{"nOrdNo":1,"ordSt":7,"qty":"x"}]}`, `{"stat":"Not_Ok","stCode":1021,"errMsg":"order is completed"}`)
	f.Add(400, `{"stat":"x","stCode":32,"emsg":"error from core"}`, 500, ``, `{}`)
	f.Fuzz(func(t *testing.T, placeStatus int, placed string, bookStatus int, book, changed string) {
		status := func(n int) int { return 200 + max(n, -n)%400 }
		api := answering(t, func(path string) (int, string) {
			switch {
			case strings.HasSuffix(path, "/place"):
				return status(placeStatus - 200), placed
			case strings.HasSuffix(path, "/modify"), strings.HasSuffix(path, "/cancel"):
				return 200, changed
			}
			return status(bookStatus - 200), book
		})
		call := func(f func(context.Context) (trade.Order, error)) (trade.Order, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			defer cancel()
			began := time.Now()
			o, err := f(ctx)
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("it took %v", d)
			}
			return o, err
		}
		said := func(o trade.Order, err error) {
			if o.State != "" && !strings.Contains(book, strings.Trim(fmt.Sprintf("%q", string(o.State)), `"`)) && !strings.Contains(book, `\`) {
				t.Errorf("nobody said that it is %s (%v)", o.State, err)
			}
		}
		order, err := call(func(ctx context.Context) (trade.Order, error) {
			return api.Place(ctx, trade.Buy(share(), 1).Market().Product(trade.MIS))
		})
		if err == nil && (order.Number == "" || status(placeStatus-200)/100 != 2 && !strings.Contains(book, order.Number)) {
			t.Errorf("placed %+v", order)
		}
		said(order, err)
		known := trade.Order{Number: "250122000624384"}
		o, err := call(func(ctx context.Context) (trade.Order, error) {
			return api.Modify(ctx, known, trade.Change{Price: rupees("3440")})
		})
		said(o, err)
		o, err = call(func(ctx context.Context) (trade.Order, error) { return api.Cancel(ctx, known) })
		if said(o, err); err == nil && !o.State.Final() {
			t.Errorf("cancelled: %+v", o)
		}
		o, err = call(func(ctx context.Context) (trade.Order, error) { return api.Await(ctx, known) })
		if said(o, err); err == nil && !o.State.Final() {
			t.Errorf("awaited: %+v", o)
		}
	})
}

// The service's words for a wrong field can name another one.
func TestPlace_hintNamesWhatElseToCheck(t *testing.T) {
	t.Parallel()
	calls := 0
	api := answering(t, func(string) (int, string) {
		calls++
		return 200, `{"stat":"Not_Ok","stCode":1009,"errMsg":"please provide valid quantity"}`
	})
	_, err := api.Place(t.Context(), trade.Buy(share(), 1).Market().Product(trade.MIS))
	reason, ok := errors.AsType[*trade.Rejection](err)
	if !ok || reason.Code != "1009" || reason.Reason != "please provide valid quantity" || !strings.Contains(err.Error(), "check price, quantity and lot too") || calls != 1 {
		t.Errorf("%v, after %d calls", err, calls)
	}
}

// What a service does not have is not a failure of the call.
func TestConvert_whatIsNotOfferedIsTold(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{`{"stat":"Not_Ok","stCode":404,"errMsg":"no such path"}`, `<html>not found`, ``} {
		api := answering(t, func(path string) (int, string) {
			if strings.Contains(path, "/convert/") || strings.Contains(path, "/exit") {
				return 404, answer
			}
			return 200, noOrders
		})
		p := trade.Position{Instrument: share(), Product: trade.MIS, Net: 10}
		if _, err := api.Convert(t.Context(), p, 10, trade.CNC); !errors.Is(err, trade.ErrNotOffered) {
			t.Errorf("%q: %v", answer, err)
		}
		if _, err := api.Exit(t.Context(), trade.Order{Number: "1", Product: trade.Bracket}); !errors.Is(err, trade.ErrNotOffered) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}
