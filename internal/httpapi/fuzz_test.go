package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"neoapi/internal/credential"
	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/oms"
	"neoapi/internal/operator"
	"neoapi/internal/store/sqlite"
	"neoapi/internal/wire"
)

// refusal fails the test unless err is a refusal of bad input whose text can be
// shown.
func refusal(t *testing.T, err error) {
	t.Helper()
	var refused *login.Error
	var closer *front.Refusal
	switch {
	case errors.As(err, &closer):
		if closer.Status/100 != 4 {
			t.Fatalf("%d: %v", closer.Status, err)
		}
	case !errors.As(err, &refused) || refused.Kind != login.KindInput:
		t.Fatalf("%v", err)
	}
	if text := err.Error(); !utf8.ValidString(text) || len(text) > 300 {
		t.Fatalf("%d bytes, valid UTF-8 %v: %q", len(text), utf8.ValidString(text), text)
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"mobileNumber":"+919999999908","password":"sandbox-password"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseJSON(body)
		if err != nil {
			refusal(t, err)
			return
		}
		// What is taken means the same to every reader: one flat object, each name once.
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		var want map[string]any
		if err := d.Decode(&want); err != nil || want == nil || d.Decode(new(any)) != io.EOF {
			t.Fatalf("taken, but no object alone: %v", err)
		}
		if !reflect.DeepEqual(map[string]any(got), want) {
			t.Fatalf("read as %v, which says %v", got, want)
		}
		names, d := 0, json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		for {
			token, err := d.Token()
			if err != nil {
				break
			}
			if _, delim := token.(json.Delim); !delim {
				names++
			}
		}
		if names != 2*len(got) {
			t.Fatalf("%d names and values for %d fields", names, len(got))
		}
		for name, value := range got {
			switch value.(type) {
			case nil, bool, json.Number, string:
			default:
				t.Fatalf("%q is a %T", name, value)
			}
			if s, ok := value.(string); !utf8.ValidString(name) || ok && !utf8.ValidString(s) {
				t.Fatalf("%q: %q is not UTF-8", name, s)
			}
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, kind := range []string{"", "application/json", "application/json; charset=UTF-8", "application/x-www-form-urlencoded", "text/plain"} {
		f.Add(kind, []byte(`{"grant_type":"client_credentials"}`))
		f.Add(kind, []byte("grant_type=client_credentials&client_id=a%20b&client_secret=%2B"))
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Content-Type", kind)
		got, err := jsonOrForm(&call{Request: r, body: body})
		if err != nil {
			refusal(t, err)
			return
		}
		if !strings.Contains(strings.ToLower(kind), "form") {
			if same, err := parseJSON(body); err != nil || !reflect.DeepEqual(got, same) {
				t.Fatalf("as %q it is %v, as JSON %v (%v)", kind, got, same, err)
			}
			return
		}
		again := url.Values{}
		for name, value := range got {
			again.Set(name, value.(string))
		}
		want, err := url.ParseQuery(string(body))
		if err != nil || len(want) != len(got) || want.Encode() != again.Encode() {
			t.Fatalf("read as %v, which says %v (%v)", got, want, err)
		}
	})
}

func FuzzRequestID(f *testing.F) {
	for _, id := range []string{"", "4f0c2a5e-6a0f-4f7e-9a6e-0d6f2b1c3d4e", strings.Repeat("a", 128), strings.Repeat("a", 129), "a b", "é", "a\n"} {
		f.Add(id, "b")
		f.Add("", id)
	}
	f.Fuzz(func(t *testing.T, id, key string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header[wire.HeaderRequestID], r.Header[wire.HeaderIdempotencyKey] = []string{id}, []string{key}
		got := sentRequestID(r)
		if got == "" {
			return
		}
		if got != id && got != key || len(got) > 128 || strings.Trim(got, "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~") != "" {
			t.Fatalf("%q and %q give %q", id, key, got)
		}
	})
}

// realAPI is the handler on a real service, with one consumer.
func realAPI(f *testing.F) (a *api, key, secret, access string) {
	f.Helper()
	store, err := sqlite.Open(f.Context(), filepath.Join(f.TempDir(), "neo.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() })
	// The key is another one in each of a fuzzer's processes: what one of them was
	// given is worth nothing in another.
	master, err := credential.ParseMasterKey(credential.NewMasterKey())
	if err != nil {
		f.Fatal(err)
	}
	vault, err := credential.NewVault(master)
	if err != nil {
		f.Fatal(err)
	}
	homes, err := oms.NewHomes("server1")
	if err != nil {
		f.Fatal(err)
	}
	svc, err := login.New(f.Context(), login.Ports{
		Directory: store, Keys: store, Trail: store, Sessions: store, Allowances: store, Jobs: store,
		OMS: homes, Vault: vault, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}, login.Options{})
	if err != nil {
		f.Fatal(err)
	}
	key, secret = "a-key", "a secret: 100%+"
	operator := operator.Admin{Store: store, Vault: vault, Now: time.Now}
	if _, _, err := operator.AddConsumer(f.Context(), key, "", credential.Secret(secret), 0); err != nil {
		f.Fatal(err)
	}
	t, err := svc.AccessToken(f.Context(), key, credential.Secret(secret), login.Caller{})
	if err != nil {
		f.Fatal(err)
	}
	return &api{login: svc}, key, secret, t.Token
}

func FuzzAuthorization(f *testing.F) {
	a, key, secret, access := realAPI(f)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"+secret))
	for _, header := range []string{"", "Bearer " + access, "bearer  " + access, "Bearer" + access, access, key, "Bearer " + key, key + " ", basic, "Bearer " + access + " x"} {
		for need := range byte(4) {
			f.Add(need, header)
		}
	}
	f.Fuzz(func(t *testing.T, n byte, header string) {
		need := access4[n%4]
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header["Authorization"] = []string{header}
		c := &call{Request: r, stores: t.Context()}
		if err := a.recognise(c, need); err != nil {
			var refused *login.Error
			if !errors.As(err, &refused) || refused.Kind != login.KindNoAccess && refused.Kind != login.KindBadAccess {
				t.Fatalf("%q: %v", header, err)
			}
			if header != "" && strings.Contains(err.Error(), header) && len(header) > 10 {
				t.Fatalf("the refusal repeats the header: %v", err)
			}
			return
		}
		scheme, value, _ := strings.Cut(header, " ")
		switch {
		case need == accessOpen, need == accessOptional && header == "":
			if c.consumer.Key != "" {
				t.Fatalf("%q: recognised %s", header, c.consumer.Key)
			}
		case c.consumer.Key != key:
			t.Fatalf("%q: recognised %q", header, c.consumer.Key)
		case strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(value) == access:
		case need != accessBearer && header == key:
		default:
			t.Fatalf("%q is taken", header)
		}
	})
}

var access4 = [...]access{accessOpen, accessBearer, accessBearerOrKey, accessOptional}

func FuzzBasic(f *testing.F) {
	a, key, secret, _ := realAPI(f)
	for _, pair := range []string{key + ":" + secret, key + ":" + url.QueryEscape(secret), "a%2Dkey:" + url.QueryEscape(secret), key, key + ":", ":" + secret, ":", "", key + ":" + secret + ":", key + "\x00:" + secret} {
		f.Add([]byte(pair))
	}
	f.Fuzz(func(t *testing.T, pair []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString(pair))
		_, err := a.accessToken(&call{Request: r, stores: t.Context(), body: []byte("grant_type=client_credentials")})
		user, password, _ := strings.Cut(string(pair), ":")
		right := user == key && password == secret
		if user, err := url.QueryUnescape(user); err == nil {
			password, err := url.QueryUnescape(password)
			right = right || err == nil && user == key && password == secret
		}
		var refused *login.Error
		switch {
		case (err == nil) != right:
			t.Fatalf("%q: %v", pair, err)
		case err != nil && (!errors.As(err, &refused) || refused.Kind != login.KindClient):
			t.Fatalf("%q: %v", pair, err)
		}
	})
}
