package paperfeed

import "neoapi/internal/paper/listing"

// OnTick makes f know when an instrument has moved. Call it before there are feeds.
func OnTick(f func(key listing.Key, seq uint8)) { onTick = f }
