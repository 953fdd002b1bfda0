package storetest

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// OnlyAdds holds a store's migrations against the promise that two versions may
// run at once on one database, while processes are replaced one by one: whatever
// the version before writes and reads still works after a migration. So a
// migration adds tables, triggers, and columns that have a default or may be NULL; it drops,
// renames and changes nothing. before are those from before the first release.
func OnlyAdds(t *testing.T, migrations fs.FS, before ...string) {
	t.Helper()
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	comment := regexp.MustCompile(`(?s)-- \+goose StatementBegin.*?StatementEnd|--[^\n]*`) // or a trigger or its function
	for _, path := range files {
		if slices.Contains(before, strings.TrimPrefix(path, "migrations/")) {
			continue
		}
		text, err := fs.ReadFile(migrations, path)
		if err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(comment.ReplaceAllString(string(text), ""), ";") {
			words := strings.ToUpper(strings.Join(strings.Fields(statement), " "))
			switch {
			case words == "", strings.HasPrefix(words, "CREATE TABLE "), strings.HasPrefix(words, "CREATE INDEX "), strings.HasPrefix(words, "CREATE TRIGGER "):
			case strings.HasPrefix(words, "UPDATE "), strings.HasPrefix(words, "INSERT INTO "): // what a new column starts with
			case strings.HasPrefix(words, "ALTER TABLE "):
				for part := range strings.SplitSeq(words, ", ADD ") {
					if !strings.Contains(part, "COLUMN ") || strings.Contains(part, "NOT NULL") && !strings.Contains(part, "DEFAULT ") {
						t.Errorf("%s: the version before cannot live with: %s", path, part)
					}
					if strings.Contains(part, "DROP ") || strings.Contains(part, "RENAME ") || strings.Contains(part, "ALTER COLUMN") {
						t.Errorf("%s: the version before needs what this takes away: %s", path, part)
					}
				}
			default:
				t.Errorf("%s: neither adds a table nor a column: %s", path, words)
			}
		}
	}
}
