package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"neoapi/internal/sandbox"
	"neoapi/internal/wire"
)

// A desk is a session that trades on paper.
type desk struct {
	*service
	header map[string]string
	price  string // far below the market
}

// trading starts a sandbox, opens a session and gives its account money enough for any
// benchmark. The exchange writes its log.
func trading(b *testing.B) desk {
	b.Helper()
	s := start(b, b.TempDir(), "--accounts", "1")
	session := s.secondFactor(b, s.waiting(b, 1))
	ucc, _, _, _ := sandbox.DemoAccount(1)
	s.do(b, http.MethodPost, "/sandbox/accounts/"+ucc, nil, map[string]string{"funds": "1000000000.00"})
	var quotes []struct {
		Low string `json:"low_price_range"`
	}
	must(b, json.Unmarshal(s.do(b, http.MethodGet, "/script-details/1.0/quotes/neosymbol/bse_cm|532822/circuit_limits", map[string]string{"Authorization": sandbox.DemoConsumerKey}, nil), &quotes))
	return desk{s, map[string]string{"Sid": session.SID, "Auth": session.Token, "neo-fin-key": wire.FinKey}, quotes[0].Low[:len(quotes[0].Low)-2]}
}

// place places a resting order with a tag.
func (d desk) place(b *testing.B, tag string) {
	b.Helper()
	const path = "/orderapi/1.0/quick/order/rule/ms/place?sId=server1"
	body := `{"am":"NO","dq":"0","es":"bse_cm","mp":"0","pc":"CNC","pf":"N","pr":"` + d.price + `","pt":"L","qt":"1","rt":"DAY","tp":"0","ts":"IDEA","tt":"B","ig":"` + tag + `"}`
	req, err := http.NewRequest(http.MethodPost, d.url+path, strings.NewReader("jData="+url.QueryEscape(body)))
	must(b, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+d.access)
	for name, value := range d.header {
		req.Header.Set(name, value)
	}
	resp, err := d.client.Do(req)
	must(b, err)
	var answer struct {
		Order string `json:"nOrdNo"`
		Text  string `json:"errMsg"`
	}
	must(b, json.NewDecoder(resp.Body).Decode(&answer))
	must(b, resp.Body.Close())
	if answer.Order == "" {
		b.Fatal(answer.Text)
	}
}

// BenchmarkPaperPlace is an order through HTTP to the exchange on paper: connection,
// session, checks, margin, matching, log and answer, whole server. The bar is 120 µs of
// CPU.
func BenchmarkPaperPlace(b *testing.B) {
	d := trading(b)
	placed := 0
	place := func(n int) time.Duration {
		first := placed
		placed += n
		before := d.cpu(b)
		together(n, func(i int) { d.place(b, fmt.Sprintf("benchmark-%09d", first+i)) })
		return d.cpu(b) - before
	}
	place(1000)
	b.ResetTimer()
	took := place(b.N)
	b.StopTimer()
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/1e3, "cpu-µs/op")
}

// BenchmarkPaperReport is the order book of an account with 500 orders, whole server. The
// bar is 1.5 ms of CPU.
func BenchmarkPaperReport(b *testing.B) {
	const orders = 500
	d := trading(b)
	for i := range orders {
		d.place(b, fmt.Sprintf("report-%d", i))
	}
	var size int
	ask := func(n int) time.Duration {
		before := d.cpu(b)
		for range n {
			size = len(d.do(b, http.MethodGet, "/orderapi/1.0/quick/user/orders?sId=server1", d.header, nil))
		}
		return d.cpu(b) - before
	}
	ask(20)
	b.ResetTimer()
	took := ask(b.N)
	b.StopTimer()
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/1e6, "cpu-ms/op")
	b.ReportMetric(float64(size)/1e3, "KB/op")
}

// BenchmarkPaperIdle is the sandbox with its market running, its scrip master read and
// orders resting in it: how long the start takes (the bar is 0.5 s), what it holds after
// ten seconds without a call (60 MB), and the share of a processor that it uses meanwhile.
func BenchmarkPaperIdle(b *testing.B) {
	var ready, cpu, took time.Duration
	var held, after float64
	for range b.N {
		d := trading(b)
		ready += d.ready
		held += d.memory(b)
		var master struct{ Data struct{ FilesPaths []string } }
		must(b, json.Unmarshal(d.do(b, http.MethodGet, "/script-details/1.0/masterscrip/file-paths", map[string]string{"Authorization": sandbox.DemoConsumerKey}, nil), &master))
		for _, file := range master.Data.FilesPaths {
			d.do(b, http.MethodGet, strings.TrimPrefix(file, d.url), nil, nil)
		}
		for i := range 10 {
			d.place(b, fmt.Sprintf("idle-%d", i))
		}
		begun, used := time.Now(), d.cpu(b)
		time.Sleep(10 * time.Second) // what is measured
		cpu += d.cpu(b) - used
		took += time.Since(begun)
		after += d.memory(b)
		d.stop()
	}
	n := float64(b.N)
	b.ReportMetric(float64(ready.Milliseconds())/n, "ready-ms")
	b.ReportMetric(held/n, "first-MB")
	b.ReportMetric(after/n, "resident-MB")
	b.ReportMetric(100*float64(cpu)/float64(took), "%-of-a-core")
}
