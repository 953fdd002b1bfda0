// Package docs holds no code: its test sees to it that the documents name what
// exists.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lines are the bar's, from P1 to R6.
var lines = strings.Fields(`P1 P2 P3 P4 P5 T1 T2 T3 T4 T5 T6 T7 T8 O1 O2 O3 O4 O5 O6 S1 S2 S3 S4 J1 J2 J3 J4 I1 H1 H2 H3 H4 H5 H6 H7
	L1 L2 L3 C1 R1 R2 R3 R4 R5 R6`)

func TestAudit_outcomesAreExplained(t *testing.T) {
	tests, err := os.ReadFile("../internal/httpapi/trail_test.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("audit.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{} // "login: refused"
	var action []string
	for row := range strings.Lines(string(text)) {
		cells := strings.Split(row, "|")
		if len(cells) != 5 {
			continue
		}
		if strings.Contains(cells[1], "`") {
			action = strings.Split(cells[1], ",")
		}
		for _, a := range action {
			for outcome := range strings.SplitSeq(cells[2], ",") {
				explained[strings.Trim(a, " `")+": "+strings.Trim(outcome, " `")] = true
			}
		}
	}
	outcomes := regexp.MustCompile(`\d{3}, "(access token|login|otp|second factor|logout)", "([^"]+)", `).FindAllSubmatch(tests, -1)
	if len(outcomes) < 40 {
		t.Errorf("%d outcomes in the tests of the trail: are they there?", len(outcomes))
	}
	for _, m := range outcomes {
		if one := string(m[1]) + ": " + string(m[2]); !explained[one] {
			t.Errorf("audit.md does not explain %s", one)
		}
	}
}

// declared are the tests, fuzz tests, benchmarks and examples of the repository.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	exists := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			exists[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return exists
}

// A test is called TestSubject_whatHolds (CONTRIBUTING.md), so that -run and a list of
// failures group by subject. Some are whole suites and have nothing to add.
func TestNames_beginWithTheirSubject(t *testing.T) {
	form := regexp.MustCompile(`^(Fuzz|Benchmark|Example)|^Test[A-Z][A-Za-z0-9]*_[a-z][A-Za-z0-9]*$`)
	suites := strings.Fields("TestMain TestStore TestScripts TestProcesses TestVeil TestRetryAfter")
	for name := range declared(t) {
		if !form.MatchString(name) && !slices.Contains(suites, name) {
			t.Errorf("%s is not of the form TestSubject_whatHolds", name)
		}
	}
}

func TestClient_complaintsNameTestsAndExamplesThatExist(t *testing.T) {
	exists := declared(t)
	text, err := os.ReadFile("client.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| complaint | answer | shown by |")
	table, _, ended := strings.Cut(table, "\n## ")
	if !found || !ended {
		t.Fatal("client.md has no table of complaints")
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)\\w*)`")
	rows := 0
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "-") {
			continue
		}
		rows++
		all := named.FindAllStringSubmatch(cells[3], -1)
		if len(all) == 0 {
			t.Errorf("nothing shows the answer to %q", cells[1])
		}
		for _, m := range all {
			if !exists[m[1]] {
				t.Errorf("there is no %s", m[1])
			}
		}
	}
	if rows < 8 {
		t.Errorf("%d complaints", rows)
	}
}

func TestSecurity_everyLineNamesTestsThatExist(t *testing.T) {
	exists := declared(t)
	text, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`")
	for row := range strings.Lines(string(text)) {
		cells := strings.Split(row, "|")
		for _, m := range named.FindAllStringSubmatch(row, -1) {
			if !exists[m[1]] {
				t.Errorf("there is no %s", m[1])
			}
			for id := range strings.SplitSeq(cells[min(1, len(cells)-1)], ",") {
				shown[strings.TrimSpace(id)] = true
			}
		}
	}
	for _, id := range lines {
		if !shown[id] {
			t.Errorf("nothing shows %s", id)
		}
	}
}

// People copy what they are shown: no server, in programs, examples, comments and
// documents, waits for a client for ever.
func TestDocs_showNoServerWithoutTimeouts(t *testing.T) {
	without := regexp.MustCompile(`\bhttp\.(ListenAndServe|ListenAndServeTLS|Serve|ServeTLS)\(`)
	servers := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		program := strings.HasSuffix(path, ".go") && (!strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "example"))
		if err != nil || d.IsDir() || !program && !strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range without.FindAll(text, -1) {
			t.Errorf("%s: %s…) has no time-outs: make an http.Server", path, found)
		}
		if !program {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok || types.ExprString(literal.Type) != "http.Server" {
				return true
			}
			servers++
			set := map[string]bool{}
			for _, field := range literal.Elts {
				set[types.ExprString(field.(*ast.KeyValueExpr).Key)] = true
			}
			if !set["ReadHeaderTimeout"] && !set["ReadTimeout"] || !set["IdleTimeout"] {
				t.Errorf("%s: a server waits for its clients for ever", path)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if servers < 5 {
		t.Errorf("%d servers: are they there?", servers)
	}
}

// The folder list is the architecture: each package of this module is in it.
func TestREADME_listsEveryFolder(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	packages, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	internal, err := filepath.Glob("../internal/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range append(packages, internal...) {
		folder := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../") + "/"
		if !seen[folder] && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(folder)+` `).Match(readme) {
			t.Errorf("README's folder list lacks %s", folder)
		}
		seen[folder] = true
	}
	if len(seen) < 20 {
		t.Fatalf("only %d folders were found", len(seen))
	}
}
