package feed

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMarketFeed_countsWhatItDid(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(Quotes(share(0)))
		defer m.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		before := m.Stats()
		if before.Connections != 1 || before.Frames < 2 || before.Bytes < 100 {
			t.Errorf("%+v", before)
		}
		newer, older := touch(nil, 0, 9), touch(nil, 0, 8)
		sent := [][]byte{newer, older, touch(nil, 99, 1), []byte("garbage")}
		want := before
		want.Old, want.Unknown, want.Unread = 1, 1, 1
		for _, frame := range sent {
			st.send(st.conn(), frame)
			want.Frames++
			want.Bytes += int64(len(frame))
		}
		synctest.Wait()
		if got := m.Stats(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		st.cut()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := m.Stats().Connections; n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}
