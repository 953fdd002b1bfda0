// Command tradeapi is a trade API behind neo serve that only verifies whose call it
// receives, and answers that.
//
//	go run ./examples/tradeapi https://api.example.com 127.0.0.1:9200
//
// The first argument is where neo serve publishes its keys, the second where to
// listen. Copy [verifier] into your own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An identity is what the service has verified about a call.
type identity struct {
	Scope    []string `json:"scope"`
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	UCC      string   `json:"sub"`
	SID      string   `json:"sid"`
	Home     string   `json:"hsServerId"`
	Consumer string   `json:"consumer"`
}

// A verifier knows the service's keys. It is safe for concurrent use.
type verifier struct {
	keysURL string // the service's address and /.well-known/jwks.json

	mu    sync.Mutex
	keys  jose.JSONWebKeySet
	asked time.Time
}

// identity returns whose call it is. It fetches the service's keys when it meets an
// unknown one, at most once in ten seconds, and at least once in five minutes, so
// that removed keys are forgotten.
func (v *verifier) identity(ctx context.Context, header http.Header) (identity, error) {
	var id identity
	values := header.Values("Neo-Identity")
	if len(values) != 1 {
		return id, errors.New("the call did not come through the gateway")
	}
	signed, err := jose.ParseSignedCompact(values[0], []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return id, err
	}
	keys, err := v.known(ctx, signed.Signatures[0].Header.KeyID)
	if err != nil {
		return id, err
	}
	payload, err := signed.Verify(keys)
	if err != nil {
		return id, err
	}
	if err := json.Unmarshal(payload, &id); err != nil {
		return id, err
	}
	// Scope and audience distinguish it from users' tokens.
	if id.Issuer != "login-service" || id.Audience != "trade-api" || !slices.Equal(id.Scope, []string{"Identity"}) || id.UCC == "" {
		return id, errors.New("this is no identity")
	}
	if time.Now().Unix() >= id.Expires {
		return id, errors.New("this identity has expired")
	}
	return id, nil
}

func (v *verifier) known(ctx context.Context, kid string) (jose.JSONWebKeySet, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	age := time.Since(v.asked)
	if age < 10*time.Second || age < 5*time.Minute && len(v.keys.Key(kid)) > 0 {
		return v.keys, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.keysURL, nil)
	if err != nil {
		return v.keys, err
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(r)
	if err != nil {
		return v.keys, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return v.keys, fmt.Errorf("the keys: %s", resp.Status)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&keys); err != nil {
		return v.keys, err
	}
	v.keys, v.asked = keys, time.Now()
	return v.keys, nil
}

// ServeHTTP answers every call with its identity.
func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	id, err := v.identity(r.Context(), r.Header)
	if err != nil {
		log.Print("refused: ", err)
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]any{"stat": "Not_Ok", "stCode": http.StatusForbidden, "errMsg": "not through the gateway"})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"stat": "Ok", "stCode": http.StatusOK, "data": []identity{id}})
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: tradeapi URL-OF-NEO-SERVE HOST:PORT")
	}
	server := &http.Server{
		Addr:    os.Args[2],
		Handler: &verifier{keysURL: os.Args[1] + "/.well-known/jwks.json"},
		// Without these, a client that sends or reads slowly keeps a connection forever.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute, // the gateway keeps a connection for less
		MaxHeaderBytes:    32 << 10,
	}
	log.Fatal(server.ListenAndServe())
}
