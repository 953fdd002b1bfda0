// Package trade places orders and reads what became of them, for one account of the
// trade API: typed orders, reports, money, instruments, quotes, candles and option
// chains. Prices and money are exact ([Rupees]); times are in India's time zone.
//
// Start with [New], which takes a [neoapi.Client] that has logged in or keeps a session,
// then [Client.Instrument], [Buy] or [Sell], and [Client.Place]. docs/trading.md is the
// guide.
//
// Three things that the package promises: an order is checked against its instrument
// before it is sent; [Client.Place] sends an order once, and when the answer is lost
// finds out what became of it instead of sending it again; and what the service did not
// say is absent, never zero.
//
// The package uses only neoapi's exported API: call anything it does not have with
// [neoapi.Client.Do], by its path.
package trade
