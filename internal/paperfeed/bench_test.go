package paperfeed_test

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/must"
	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/paperfeed"
	"neoapi/internal/sfeed"
	"neoapi/neoapitest"
)

// The clients of a benchmark are in a process of their own, this program with a crowd in
// its environment, so that their CPU and memory are not the service's.
const crowdVariable = "NEO_FEED_CROWD"

func TestMain(m *testing.M) {
	if text := os.Getenv(crowdVariable); text != "" {
		var c crowd
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			panic(err)
		}
		c.run()
		return
	}
	os.Exit(m.Run())
}

// A crowd is clients of a market feed.
type crowd struct {
	Address, First string   // where, and the frame that proves the session
	Requests       []string // what the clients subscribe, one after the other in turn
	Each           int      // how many of them each
	Clients        int
	Sample         int // of so many ticks one is told
}

// An arrival is when a client had a tick decoded.
type arrival struct {
	Exchange int8
	Token    uint32
	Seq      uint8
	At       int64
}

// A crowded is what a crowd has seen.
type crowded struct {
	Arrivals []arrival
	Ticks    int64
	CPU      time.Duration
}

func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// run connects the clients, says so, counts from a line of standard input to the next, and
// writes what was seen.
func (c crowd) run() {
	var mu sync.Mutex
	var seen crowded
	counting := false
	var dialing, reading sync.WaitGroup
	next := make(chan int)
	sockets := make([]*websocket.Conn, c.Clients)
	for range 16 {
		dialing.Go(func() {
			for n := range next {
				ws, _, err := websocket.Dial(context.Background(), c.Address, nil)
				if err != nil {
					panic(err)
				}
				ws.SetReadLimit(1 << 20)
				send := func(text string) {
					if err := ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
						panic(err)
					}
				}
				send(c.First)
				if _, _, err := ws.Read(context.Background()); err != nil {
					panic(err)
				}
				for k := range c.Each {
					send(c.Requests[(n*c.Each+k)%len(c.Requests)])
				}
				sockets[n] = ws
			}
		})
	}
	for n := range c.Clients {
		next <- n
	}
	close(next)
	dialing.Wait()
	for _, ws := range sockets {
		reading.Go(func() {
			var mine []arrival
			var ticks int64
			buffer := make([]byte, 1<<20)
			random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
			for {
				kind, r, err := ws.Reader(context.Background())
				if err != nil {
					break
				}
				n, err := io.ReadFull(r, buffer)
				if err == nil || kind != websocket.MessageBinary {
					continue
				}
				for frame := buffer[:n]; len(frame) > 0; {
					p, rest, err := sfeed.Next(frame)
					if err != nil {
						panic(err)
					}
					frame = rest
					if p.Kind() != sfeed.KindQuote {
						continue
					}
					var q sfeed.Quote
					q.Decode(p)
					if ticks++; random.IntN(c.Sample) == 0 {
						mine = append(mine, arrival{p.Exchange(), q.Token, p.Seq(), time.Now().UnixNano()})
					}
				}
				mu.Lock()
				if !counting {
					mine, ticks = mine[:0], 0
				}
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			seen.Arrivals = append(seen.Arrivals, mine...)
			seen.Ticks += ticks
		})
	}
	fmt.Fprintln(os.Stderr, "connected")
	var line string
	_, _ = fmt.Scanln(&line)
	mu.Lock()
	counting = true
	mu.Unlock()
	seen.CPU = processor()
	_, _ = fmt.Scanln(&line)
	seen.CPU = processor() - seen.CPU
	for _, ws := range sockets {
		_ = ws.CloseNow()
	}
	reading.Wait()
	if err := gob.NewEncoder(os.Stdout).Encode(seen); err != nil {
		panic(err)
	}
}

// measured runs a crowd for some seconds.
func (c crowd) measured(b *testing.B, long time.Duration, during func()) crowded {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crowdVariable+"="+string(must.Get(json.Marshal(c))(b)))
	in, out, said := must.Get(cmd.StdinPipe())(b), must.Get(cmd.StdoutPipe())(b), must.Get(cmd.StderrPipe())(b)
	must.Do(b, cmd.Start())
	var line string
	if _, err := fmt.Fscanln(said, &line); err != nil || line != "connected" {
		rest, _ := io.ReadAll(said)
		b.Fatalf("%v %s %s", err, line, rest)
	}
	go func() { _, _ = io.Copy(os.Stderr, said) }()
	time.Sleep(2 * time.Second) // the first pictures are not measured
	must.Get(fmt.Fprintln(in, "go"))(b)
	before := processor()
	time.Sleep(long)
	used := processor() - before
	during()
	must.Get(fmt.Fprintln(in, "end"))(b)
	var seen crowded
	must.Do(b, gob.NewDecoder(out).Decode(&seen))
	must.Do(b, cmd.Wait())
	if seen.Ticks > 0 {
		b.ReportMetric(float64(seen.Ticks)/long.Seconds(), "ticks/s")
		b.ReportMetric(float64(used.Nanoseconds())/float64(seen.Ticks), "cpu-ns/tick")
		b.ReportMetric(100*used.Seconds()/long.Seconds(), "%-of-a-core")
		b.ReportMetric(100*seen.CPU.Seconds()/long.Seconds(), "clients-%-of-a-core")
	}
	return seen
}

// moments are when instruments moved.
type moments struct {
	mu  sync.Mutex
	all map[[3]uint32]int64
}

func (m *moments) note(key listing.Key, seq uint8) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[[3]uint32{uint32(sfeed.Exchange(key.Segment.String())), key.Token, uint32(seq)}] = time.Now().UnixNano()
}

// report says how long after its tick each arrival was.
func (m *moments) report(b *testing.B, all []arrival) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var late []time.Duration
	for _, a := range all {
		if at, ok := m.all[[3]uint32{uint32(a.Exchange), a.Token, uint32(a.Seq)}]; ok {
			late = append(late, time.Duration(a.At-at))
		}
	}
	if len(late) == 0 {
		b.Fatal("nothing arrived")
	}
	slices.Sort(late)
	for name, share := range map[string]float64{"p50-ms": 0.5, "p99-ms": 0.99, "most-ms": 1} {
		b.ReportMetric(float64(late[int(share*float64(len(late)-1))].Microseconds())/1000, name)
	}
}

// instruments are those that are listed today.
func instruments() []*listing.Instrument {
	now := time.Now()
	return paper.New(paper.Config{Seed: 1, Start: now}).Listing(now).Instruments()
}

// requests subscribe all instruments there are, some with their depth too, so many at a
// time, and n in all.
func requests(n, each int) (all []string) {
	var tokens []string
	for _, i := range instruments() {
		if i.Kind != listing.Index {
			tokens = append(tokens, i.Key.String())
		}
	}
	for from := 0; from < n; from += each {
		event, at := "subscribeScrips", from
		if from >= len(tokens)-each {
			event, at = "subscribeDepth", from%(len(tokens)-each)
		}
		all = append(all, `{"event":"`+event+`","inputtoken":"`+strings.Join(tokens[at:min(at+each, len(tokens), at+n-from)], ",")+`","ack_symbol":false}`)
	}
	return all
}

// BenchmarkMarketFeed is the service with 3,000 instruments that move twice a second: to a
// hundred clients that have all of them, and to a thousand that have fifty each. The bar is
// 20 ms from tick to the client's program for 99 of 100.
func BenchmarkMarketFeed(b *testing.B) {
	for _, x := range []struct {
		name          string
		clients, each int
	}{{"100x3000", 100, 60}, {"1000x50", 1000, 1}} {
		b.Run(x.name, func(b *testing.B) {
			seen := &moments{all: map[[3]uint32]int64{}}
			paperfeed.OnTick(seen.note)
			srv := neoapitest.NewServer(b)
			_, s := login(b, srv)
			c := crowd{Address: s.FeedURL, First: user(s), Requests: requests(3000, 50), Each: x.each, Clients: x.clients, Sample: 50}
			var arrived []arrival
			for b.Loop() {
				arrived = c.measured(b, 8*time.Second, func() {}).Arrivals
			}
			seen.report(b, arrived)
		})
	}
}

// BenchmarkIdleFeeds is what a thousand clients hold that have one instrument each, which
// does not move: heap and stacks of the whole service. The bar is 40 KB each.
func BenchmarkIdleFeeds(b *testing.B) {
	srv := neoapitest.NewServer(b)
	_, s := login(b, srv)
	srv.Market(b).SetPrice("nse_cm", "TCS-EQ", "3500.00")
	held := func() (sum uint64) {
		runtime.GC()
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	const clients = 1000
	c := crowd{Address: s.FeedURL, First: user(s), Requests: []string{`{"event":"subscribeScrips","inputtoken":"nse_cm|11536"}`}, Each: 1, Clients: clients, Sample: 1}
	for b.Loop() {
		before, after := held(), uint64(0)
		c.measured(b, 2*time.Second, func() { after = held() })
		b.ReportMetric(float64(after-before)/clients/1000, "KB/client")
	}
}
