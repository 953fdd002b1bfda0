// Package api embeds the OpenAPI description of the service's API.
package api

import _ "embed"

// Description is openapi.yaml, an OpenAPI 3.1 document.
//
//go:embed openapi.yaml
var Description []byte

// Admin is admin.yaml, the OpenAPI 3.1 document of the operator's API.
//
//go:embed admin.yaml
var Admin []byte
