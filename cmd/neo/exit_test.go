package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"neoapi"
	"neoapi/trade"
)

// Each row of the table of exit codes is in docs/exit-codes.md, word for word, and
// happens in testdata/exit-codes.txtar.
func TestExitCodes_areDocumentedAndHappen(t *testing.T) {
	doc, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/exit-codes.txtar")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, row := range exitCodes {
		if line := fmt.Sprintf("| %s | %s |", row.name, row.means); !strings.Contains(string(doc), line+"\n") {
			t.Errorf("docs/exit-codes.md lacks the row\n%s", line)
		}
		code := fmt.Sprint(row.code)
		if row.code == exitSignal {
			code = "1(29|3[0-9]|4[0-9])"
		}
		if !regexp.MustCompile(`(?m)^(?:\[linux\] )?exits ` + code + ` `).Match(script) {
			t.Errorf("nothing in testdata/exit-codes.txtar exits with %s", row.name)
		}
		rows++
	}
	if shown := strings.Count(string(doc), "\n| ") - strings.Count(string(doc), "\n| exit code"); shown != rows {
		t.Errorf("docs/exit-codes.md has %d rows, the program %d", shown, rows)
	}
}

// Each category of the client's errors has an exit code, so that a new one is not
// forgotten.
func TestExitCodes_coverEveryCategory(t *testing.T) {
	categories := regexp.MustCompile(`(?m)^\t(Err\w+)\s+= Category\(`)
	declared := 0
	for _, file := range []string{"errors.go", "store.go"} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		declared += len(categories.FindAll(text, -1))
	}
	if declared != len(codeOf) || declared < 20 {
		t.Errorf("%d categories, %d of them with an exit code", declared, len(codeOf))
	}
	for category, want := range codeOf {
		if got := exitCode(t.Context(), fmt.Errorf("first: %w", &neoapi.Error{Category: category})); got != want {
			t.Errorf("%s: exit code %d, want %d", category, got, want)
		}
	}
}

// What is known to have done nothing can be sent again; what nobody knows cannot.
func TestExitCodes_tellALostOrderFromOneThatIsNotThere(t *testing.T) {
	lost := &neoapi.Error{Category: neoapi.ErrNetwork}
	for err, want := range map[error]int{
		trade.ErrNotPlaced: exitFailed, trade.ErrUnchanged: exitFailed, trade.ErrUnknown: exitLater, trade.ErrRejected: exitRefused, trade.ErrEnded: exitRefused,
		trade.ErrInvalid: exitUsage, trade.ErrNotFound: exitUsage,
	} {
		if got := exitCode(t.Context(), fmt.Errorf("%w: %w", err, lost)); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
}
