// Package api holds the OpenAPI description of everything that the service
// answers.
package api

import _ "embed"

// Description is openapi.yaml, an OpenAPI 3.1 document.
//
//go:embed openapi.yaml
var Description []byte
