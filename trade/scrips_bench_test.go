//go:build unix

package trade

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	benchRows    = 100_000
	benchColumns = 60
)

// bigMaster writes a scrip master of nse_fo of 100,000 rows of 60 columns, 37 MB, and
// returns its path.
var bigMaster = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "neo-bench-*")
	if err != nil {
		panic(err)
	}
	path := filepath.Join(dir, "nse_fo.csv")
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	defer b.Flush()
	header := []string{"pSymbol", "pGroup", "pExchSeg", "pInstType", "pSymbolName", "pTrdSymbol", "pOptionType", "pScripRefKey", "pISIN", "pDesc",
		"dTickSize ", "lLotSize", "lExpiryDate ", "lMultiplier ", "lPrecision", "dStrikePrice;", "pExpiryDate", "dHighPriceRange ", "dLowPriceRange ",
		"dPriceNum   ", "dGenDen", "dGenNum", "dPriceDen"}
	own := len(header)
	for len(header) < benchColumns-1 {
		header = append(header, "pOther"+strconv.Itoa(len(header)))
	}
	header = append(header, "lFreezeQty")
	fmt.Fprintln(b, strings.Join(header, ","))
	for n := range benchRows {
		of := n / 400 // 250 underlyings of 200 strikes
		name := fmt.Sprintf("%sUND%03d", string(rune('A'+of*7%26)), of)
		strike, kind := 100+n%400/2*5, [2]string{"CE", "PE"}[n%2]
		expiry := 1474554600 + of%3*7*86400
		date := time.Unix(int64(expiry+since1980), 0).UTC()
		row := []string{strconv.Itoa(35_000 + n), "XX", "nse_fo", "OPTSTK", name, fmt.Sprintf("%s%s%d%s", name, strings.ToUpper(date.Format("06Jan")), strike, kind), kind,
			fmt.Sprintf("%s%s%d.00%s", name, strings.ToUpper(date.Format("02Jan06")), strike, kind), "", "", "5", "65", strconv.Itoa(expiry), "-1", "2",
			strconv.Itoa(strike * 100), strconv.Itoa(expiry), "2015", "5", "1", "1", "1", "1"}
		if len(row) != own {
			panic("columns")
		}
		b.WriteString(strings.Join(row, ","))
		for range benchColumns - 1 - own {
			b.WriteString(",471564")
		}
		b.WriteString(",1801\n")
	}
	return path
})

func openBig(b *testing.B) *os.File {
	f, err := os.Open(bigMaster())
	if err != nil {
		b.Fatal(err)
	}
	return f
}

func loadBig(b *testing.B) *Master {
	file := openBig(b)
	defer file.Close()
	f, err := readScrips(file, NFO, Date{2026, time.August, 28})
	if err != nil || len(f.rows) != benchRows {
		b.Fatal(err)
	}
	return &Master{files: []*scrips{f}}
}

// cpu reports the processor's time of an operation, which other programs do not change as
// they change the clock's.
func cpu(b *testing.B) (done func()) {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// held measures what a reading of the big master leaves in memory, and the most that the
// heap had meanwhile, rubbish included.
func keeps(b *testing.B, read func(io.Reader) any) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() uint64 { metrics.Read(sample); return sample[0].Value.Uint64() }
	file := openBig(b)
	if info, err := file.Stat(); err == nil {
		b.SetBytes(info.Size())
	}
	file.Close()
	var kept any
	var before, peak uint64
	defer cpu(b)()
	for b.Loop() {
		b.StopTimer()
		kept = nil
		runtime.GC()
		before, peak = heap(), 0
		file := openBig(b)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				peak = max(peak, heap())
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
		}()
		b.StartTimer()
		kept = read(file)
		b.StopTimer()
		close(stop)
		<-stopped
		file.Close()
		b.StartTimer()
	}
	runtime.GC()
	b.ReportMetric(float64(heap()-before)/1e6, "MB-held")
	b.ReportMetric(float64(peak-before)/1e6, "MB-peak")
	runtime.KeepAlive(kept)
}

func BenchmarkMaster(b *testing.B) {
	b.Run("read", func(b *testing.B) {
		keeps(b, func(r io.Reader) any {
			f, err := readScrips(r, NFO, Date{2026, time.August, 28})
			if err != nil {
				b.Fatal(err)
			}
			return f
		})
	})
	b.Run("plain/encoding-csv", func(b *testing.B) {
		keeps(b, func(r io.Reader) any {
			c := csv.NewReader(r)
			c.ReuseRecord = true
			var all []Instrument
			for {
				row, err := c.Read()
				if err == io.EOF {
					return all
				}
				if err != nil {
					b.Fatal(err)
				}
				lot, _ := strconv.ParseInt(row[11], 10, 64)
				all = append(all, Instrument{Token: strings.Clone(row[0]), Symbol: strings.Clone(row[5]), Name: strings.Clone(row[4]), Lot: lot})
			}
		})
	})
}

func BenchmarkSearch(b *testing.B) {
	m := loadBig(b)
	f := m.files[0]
	symbols, tokens := make([]string, 1024), make([]string, 1024)
	for i := range symbols {
		row := &f.rows[i*97%len(f.rows)]
		symbols[i], tokens[i] = strings.Clone(f.symbol(row)), strings.Clone(f.token(row))
	}
	var got Instrument
	b.Run("symbol", func(b *testing.B) {
		b.ReportAllocs()
		defer cpu(b)()
		for i := 0; b.Loop(); i++ {
			got, _ = m.Symbol(NFO, symbols[i%1024])
		}
	})
	b.Run("token", func(b *testing.B) {
		b.ReportAllocs()
		defer cpu(b)()
		for i := 0; b.Loop(); i++ {
			got, _ = m.Token(NFO, tokens[i%1024])
		}
	})
	b.Run("plain/map", func(b *testing.B) {
		all := map[string]Instrument{}
		for i := range f.rows {
			f.fill(&got, &f.rows[i])
			all[strings.Clone(got.Symbol)] = got
		}
		b.ResetTimer()
		defer cpu(b)()
		for i := 0; b.Loop(); i++ {
			got = all[symbols[i%1024]]
		}
	})
	_ = got
	for _, s := range []struct {
		name string
		of   Search
		want int
	}{
		{"prefix20", Search{Prefix: "HUND001", Limit: 20}, 20},
		{"part", Search{Text: "nd123", Limit: 20}, 20},
		{"part-none", Search{Text: "d999x"}, 0},
		{"part-pair", Search{Text: "q7"}, 0},
		{"strikes", Search{Name: "HUND001", Kind: Put, Strike: MustRupees("200"), StrikeTo: MustRupees("250")}, 11},
	} {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				if n := len(m.Find(s.of)); n != s.want {
					b.Fatal(n)
				}
			}
		})
	}
}
