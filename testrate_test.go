package neoapi

import "neoapi/internal/testrate"

func init() { testrate.Default = 0 } // but where a test sets one
