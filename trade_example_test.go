package neoapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"

	"neoapi"
)

// tradeAPI stands in for a broker's trade API, and gives a client that is logged in
// there. A program of yours logs in instead.
func tradeAPI() (client *neoapi.Client, stop func()) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quick/user/orders", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"stat":"Ok","stCode":200,"data":[{"nOrdNo":"230120000017243","ordSt":"complete"}]}`)
	})
	mux.HandleFunc("POST /quick/order/rule/ms/place", func(w http.ResponseWriter, r *http.Request) {
		var order struct{ Qt string }
		if json.Unmarshal([]byte(r.FormValue("jData")), &order); order.Qt == "0" {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"stat":"Not_Ok","stCode":1007,"errMsg":"body invalid"}`)
			return
		}
		io.WriteString(w, `{"stat":"Ok","stCode":200,"nOrdNo":"230120000017244"}`)
	})
	srv := httptest.NewServer(mux)
	client, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: "key"})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Use(neoapi.Session{Token: "trade-token", SID: "sid", KType: "Trade"}); err != nil {
		log.Fatal(err)
	}
	return client, srv.Close
}

// An http.Client for everything that the package has no method for: it adds what
// the session needs, sends to the session's host alone, and keeps to 10 requests a
// second.
func ExampleClient_HTTPClient() {
	client, stop := tradeAPI()
	defer stop()

	resp, err := client.HTTPClient().Get("/quick/user/orders")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.StatusCode, string(body))

	_, err = client.HTTPClient().Get("https://elsewhere.example/quick/user/orders")
	fmt.Println(errors.Is(err, neoapi.ErrInvalidInput)) // nothing was sent
	// Output:
	// 200 {"stat":"Ok","stCode":200,"data":[{"nOrdNo":"230120000017243","ordSt":"complete"}]}
	// true
}

// An order, which is never sent twice.
func ExampleClient_Do() {
	client, stop := tradeAPI()
	defer stop()

	for _, quantity := range []string{"1", "0"} {
		order, err := json.Marshal(map[string]string{"es": "nse_cm", "ts": "IDFC-EQ", "tt": "B", "pt": "MKT", "pc": "CNC", "qt": quantity, "rt": "DAY", "pr": "0", "am": "NO"})
		if err != nil {
			log.Fatal(err)
		}
		var placed struct {
			Number string `json:"nOrdNo"`
		}
		err = client.Do(context.Background(), "POST", "/quick/order/rule/ms/place", url.Values{"jData": {string(order)}}, &placed)
		if e, ok := errors.AsType[*neoapi.Error](err); ok {
			if e.Retry == neoapi.RetryCheckFirst {
				fmt.Println("look into the order book first")
			}
			fmt.Println(e.Category, e.Code, e.Message, "-", e.Hint)
			continue
		}
		fmt.Println("order", placed.Number)
	}
	// Output:
	// order 230120000017244
	// invalid input 1007 body invalid - the trade API takes a form whose field jData is JSON with strings for all values
}

// A report, whatever the session's generation.
func ExampleClient_Do_report() {
	client, stop := tradeAPI()
	defer stop()
	var book []map[string]any
	if err := client.Do(context.Background(), "GET", "/quick/user/orders", nil, &book); err != nil {
		log.Fatal(err)
	}
	for _, order := range book {
		fmt.Println(order["nOrdNo"], order["ordSt"])
	}
	// Output: 230120000017243 complete
}
