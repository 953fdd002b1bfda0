// Package testrate holds the rate that package neoapitest gives each consumer. This
// module's own tests of other things lift it, in an init of theirs: they send more
// requests than a program does.
package testrate

// Default is what the sandbox has, too.
var Default = 10
