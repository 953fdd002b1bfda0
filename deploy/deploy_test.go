// Package deploy_test holds what is in this folder against the program and
// against the runbook. That neo.yaml is good is tested in cmd/neo.
package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAlerts_areInTheRunbook(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations struct{ Summary, Runbook string }
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	runbook := read(t, "../docs/runbook.md")
	var alerts []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			alerts = append(alerts, r.Alert)
			if !strings.Contains(runbook, "\n## "+r.Alert+"\n") {
				t.Errorf("%s is not in the runbook", r.Alert)
			}
			if r.Annotations.Runbook != "docs/runbook.md#"+strings.ToLower(r.Alert) || r.Annotations.Summary == "" {
				t.Errorf("%s: %+v", r.Alert, r.Annotations)
			}
		}
	}
	if len(alerts) == 0 {
		t.Error("there are no alerts")
	}
	for _, m := range regexp.MustCompile(`(?m)^## (Neo\w+)$`).FindAllStringSubmatch(runbook, -1) {
		if !slices.Contains(alerts, m[1]) {
			t.Errorf("the runbook tells of %s, which is no alert", m[1])
		}
	}
}

func TestMetrics_ofAlertsAndDashboardExist(t *testing.T) {
	sources, err := filepath.Glob("../internal/telemetry/*.go")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, path := range sources {
		for _, m := range regexp.MustCompile(`"(neo_\w+)"`).FindAllStringSubmatch(read(t, path), -1) {
			there[m[1]] = true
		}
	}
	used := map[string]bool{}
	var dashboard struct{ Panels []struct{ Title string } }
	if err := json.Unmarshal([]byte(read(t, "grafana.json")), &dashboard); err != nil || len(dashboard.Panels) == 0 {
		t.Fatalf("the dashboard: %v", err)
	}
	for _, path := range []string{"alerts.yaml", "grafana.json"} {
		for _, name := range regexp.MustCompile(`\bneo_[a-z_]+`).FindAllString(read(t, path), -1) {
			name = regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
			used[name] = true
			if !there[name] {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
	}
	for name := range there {
		if !used[name] {
			t.Errorf("nothing shows the metric %s", name)
		}
	}
}
