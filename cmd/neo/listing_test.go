package main

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the widths: what is of rank 0 is always shown, nothing is left out that is
// more important than what is shown, only text is narrowed, and what could fit does.
func TestColumns_thatMatterStayAndNumbersAreNotCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var columns []column[int]
		var widths []int
		for range rapid.IntRange(1, 12).Draw(t, "columns") {
			columns = append(columns, column[int]{kind: kind(rapid.IntRange(0, int(cellNote)).Draw(t, "kind")), rank: rapid.IntRange(0, 5).Draw(t, "rank")})
			widths = append(widths, rapid.IntRange(1, 40).Draw(t, "width"))
		}
		before := slices.Clone(widths)
		room := rapid.IntRange(0, 300).Draw(t, "room")
		shown := fitting(columns, widths, room)
		sum, narrowest, least := -2, 0, 100
		for i, c := range columns {
			if !slices.Contains(shown, i) {
				least = min(least, c.rank)
				continue
			}
			sum += 2 + widths[i]
			narrowest = max(narrowest, c.rank)
			if widths[i] != before[i] && (c.kind != cellText || narrowest > 0 || widths[i] < 5) {
				t.Fatalf("column %d of kind %d went from %d to %d", i, c.kind, before[i], widths[i])
			}
		}
		if least == 0 || narrowest >= least || room == 0 && len(shown) < len(columns) {
			t.Fatalf("shown to rank %d, left out from rank %d", narrowest, least)
		}
		if room > 0 && sum > room && narrowest > 0 {
			t.Fatalf("%d wide in %d", sum, room)
		}
	})
}

func TestColumns_ofOrdersThatMatterAreShownAtAnyWidth(t *testing.T) {
	t.Parallel()
	widths := make([]int, len(orderColumns))
	for i, c := range orderColumns {
		widths[i] = len(c.head) + 6
	}
	for room := 2; room < 400; room++ {
		var names []string
		for _, i := range fitting(orderColumns, slices.Clone(widths), room) {
			names = append(names, orderColumns[i].name)
		}
		for _, name := range strings.Fields("number side symbol quantity filled price state") {
			if !slices.Contains(names, name) {
				t.Fatalf("at %d columns there are only %s", room, names)
			}
		}
	}
}

// A key that comes twice in an object is read as either by other programs.
func TestColumns_nameEachKeyOnce(t *testing.T) {
	t.Parallel()
	for what, keys := range map[string][]string{
		"orders": keysOf(orderColumns), "positions": keysOf(positionColumns), "quotes": keysOf(quoteColumns),
		"updates of orders": keysOf(orderUpdateColumns()), "updates of positions": keysOf(typed("position", positionColumns)), "updates of quotes": keysOf(typed("quote", quoteColumns)),
	} {
		slices.Sort(keys)
		if once := slices.Compact(slices.Clone(keys)); len(once) != len(keys) {
			t.Errorf("%s: %v", what, keys)
		}
	}
}

func keysOf[T any](columns []column[T]) (keys []string) {
	for _, c := range columns {
		if c.name != "" {
			keys = append(keys, c.name)
		}
	}
	return keys
}
