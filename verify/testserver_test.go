package verify_test

import "neoapi/internal/testserver"

func init() { testserver.Rate = 0 } // but where a test sets one
