package postgres

import (
	"maps"
	"slices"
	"strings"
)

// fixed are the settings that the statements and the reading of their results rely on,
// whatever the URL, the environment, the role, the database and the server say.
var fixed = map[string]string{
	"client_encoding":                "UTF8",
	"DateStyle":                      "ISO, MDY",
	"IntervalStyle":                  "postgres",
	"TimeZone":                       "UTC",
	"bytea_output":                   "hex",
	"extra_float_digits":             "1",
	"standard_conforming_strings":    "on",
	"default_transaction_isolation":  "read committed",
	"default_transaction_read_only":  "off",
	"default_transaction_deferrable": "off",
}

// corrections are expressions that set what must not be set for every connection: it
// may have other good values, or this server may not know it. $local is whether the
// transaction's end ends them.
//
// A search path that leads to no tables leads to those in public, so that no empty
// store takes the place of one that is there.
var corrections = map[string]string{
	"synchronous_commit":       `CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', $local) END`,
	"session_replication_role": `CASE current_setting('session_replication_role') WHEN 'replica' THEN set_config('session_replication_role', 'origin', $local) END`,
	"transaction_timeout":      `CASE WHEN current_setting('transaction_timeout', true) <> '0' THEN set_config('transaction_timeout', '0', $local) END`,
	"idle_session_timeout":     `CASE WHEN current_setting('idle_session_timeout', true) <> '0' THEN set_config('idle_session_timeout', '0', $local) END`,
	"search_path": `CASE WHEN to_regclass('settled') IS NULL AND (current_schema() IS NULL OR has_table_privilege(to_regclass('public.settled'), 'SELECT'))
		THEN set_config('search_path', 'public', $local) END`,
}

// corrected returns the expressions that correct what params do not set, as one.
func corrected(params map[string]string, local bool) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(corrections)) {
		if !has(params, name) {
			all = append(all, corrections[name])
		}
	}
	text := map[bool]string{true: "true", false: "false"}[local]
	return strings.ReplaceAll(`concat(`+strings.Join(append(all, "''"), ", ")+`)`, "$local", text)
}

// has reports whether a setting is among params; case does not matter in names.
func has(params map[string]string, name string) bool {
	for n := range params {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// set puts settings in place of those with the same name.
func set(params, settings map[string]string) {
	for name := range settings {
		maps.DeleteFunc(params, func(n, _ string) bool { return strings.EqualFold(n, name) })
	}
	maps.Copy(params, settings)
}

// throughPoolers are the settings that poolers take at the start of a connection, and
// keep for it.
var throughPoolers = []string{"application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"}

// passes reports whether poolers take a setting at the start of a connection.
func passes(name string) bool {
	return slices.ContainsFunc(throughPoolers, func(n string) bool { return strings.EqualFold(n, name) })
}

// ofTransaction returns the statement that sets, until the transaction ends, what a
// pooler does not take at the start of a connection.
func ofTransaction(params map[string]string) statement {
	var all []string
	var args []any
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if passes(name) || strings.HasPrefix(name, "default_transaction_") || name == "plan_cache_mode" { // which the statement that begins it says, or is for prepared ones
			continue
		}
		args = append(args, name, params[name])
		all = append(all, "set_config("+marks(len(args)-1, 2)+", true)")
	}
	return statement{`SELECT ` + strings.Join(append(all, corrected(params, true)), ", "), args}
}
