package verify_test

import (
	"fmt"
	"log"
	"net/http"
	"os"

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
	http.Handle("/quick/user/orders", verifier.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := verify.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "orders of %s\n", s.UCC)
	})))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
