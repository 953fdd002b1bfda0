// Package trade places orders and reads reports of the Neo trade API, typed and exact,
// and never places an order twice.
package trade
