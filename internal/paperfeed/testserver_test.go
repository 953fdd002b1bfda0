package paperfeed_test

import (
	_ "neoapi/internal/store/postgres/pgtest" // for tests that run on PostgreSQL
	"neoapi/internal/testserver"
)

func init() { testserver.Rate = 0 }
