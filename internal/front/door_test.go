package front

import (
	"errors"
	"log/slog"
	"net"
	"testing"

	"neoapi/internal/must"
)

func TestDoor_acceptsWhoWaitsAtTheEnd(t *testing.T) {
	l := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	d := newDoor(l, 1000, slog.New(slog.DiscardHandler))
	const n = 50
	for range n {
		conn := must.Get(net.Dial("tcp", l.Addr().String()))(t)
		defer conn.Close()
	}
	d.end()
	for i := range n {
		conn, err := d.Accept()
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
	}
	if _, err := d.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the last: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("a new connection is accepted")
	}
}
