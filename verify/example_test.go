package verify_test

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"neoapi/verify"
)

// A service of its own that takes the sessions of the session service.
func Example() {
	verifier, err := verify.New(verify.Config{
		Service:        "https://neo.example.com",
		ConsumerKey:    os.Getenv("NEO_CONSUMER_KEY"),
		ConsumerSecret: os.Getenv("NEO_CONSUMER_SECRET"),
		OnError: func(err error) {
			log.Print("sessions: ", err)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()
	mux := http.NewServeMux()
	mux.Handle("/quick/user/orders", verifier.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := verify.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "orders of %s\n", s.UCC)
	})))
	server := &http.Server{
		Addr: "127.0.0.1:8080", Handler: mux,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}
