package sandbox

import (
	"context"
	"errors"
	"fmt"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/paper/listing"
)

// The sandbox's demo data, fixed and documented. Most of it is in the original document.
const (
	DemoConsumerKey    = "sandbox-consumer"
	DemoConsumerSecret = "sandbox-secret"
	DemoUCC            = "TESTYA24"
	DemoUserID         = "asfdywgsiqwjnskm"
	DemoMobile         = "+919999999908"
	DemoPAN            = "AVRFT7865T"
	DemoPassword       = "sandbox-password"
	DemoMPIN           = "246810"
	DemoTOTPSeed       = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	DemoGreetingName   = "Test User"
)

// MaxAccounts limits the further demo accounts, whose PANs and mobile numbers count
// up.
const MaxAccounts = 999_999

// OTPPerHour is the exception in security.md O6.
const OTPPerHour = 1000

// DemoAccount returns the names of the demo account number n, from 1: UCC, user
// id, mobile number and PAN. Its secrets are those of the demo account.
func DemoAccount(n int) (ucc, userID, mobile, pan string) {
	return fmt.Sprintf("TEST%06d", n), fmt.Sprintf("testuser%06d", n), fmt.Sprintf("+91990%07d", n),
		fmt.Sprintf("TEST%c%04d%c", 'A'+n/10_000%26, n%10_000, 'A'+n/260_000)
}

// A Demo is the public data of a sandbox, as its page shows it and neo sandbox --json
// prints it.
type Demo struct {
	URL            string    `json:"url"`
	ConsumerKey    string    `json:"consumerKey"`
	ConsumerSecret string    `json:"consumerSecret"`
	Password       string    `json:"password"` // these three are all accounts'
	MPIN           string    `json:"mpin"`
	TOTPSeed       string    `json:"totpSeed"`
	Accounts       []Account `json:"accounts"`
}

// An Account is one account of a sandbox.
type Account struct {
	UCC    string `json:"ucc"`
	UserID string `json:"userId"`
	Mobile string `json:"mobile"`
	PAN    string `json:"pan,omitempty"`
}

// NewDemo returns the public data of a sandbox at an address, with a number of further
// accounts.
func NewDemo(url string, more int) Demo {
	d := Demo{
		URL: url, ConsumerKey: DemoConsumerKey, ConsumerSecret: DemoConsumerSecret, Password: DemoPassword, MPIN: DemoMPIN, TOTPSeed: DemoTOTPSeed,
		Accounts: []Account{{UCC: DemoUCC, UserID: DemoUserID, Mobile: DemoMobile, PAN: DemoPAN}},
	}
	for n := range more {
		var a Account
		a.UCC, a.UserID, a.Mobile, a.PAN = DemoAccount(n + 1)
		d.Accounts = append(d.Accounts, a)
	}
	return d
}

// demoID is the id of a demo account, the sub of its view tokens: fixed, because
// people write it into scripts.
func demoID(n int) string { return fmt.Sprintf("7e57acc0-0000-4000-8000-%012d", n) }

// AddDemo adds missing demo data, with a number of further accounts.
func AddDemo(ctx context.Context, admin *operator.Admin, accounts int) error {
	_, _, err := admin.AddConsumer(ctx, DemoConsumerKey, "sandbox", DemoConsumerSecret, 0)
	if err != nil && !errors.Is(err, login.ErrExists) {
		return err
	}
	missing, err := missingDemo(ctx, admin, accounts)
	if err != nil || len(missing) == 0 {
		return err
	}
	first, err := admin.Hash(operator.NewAccount{
		UCC: DemoUCC, UserID: DemoUserID, Mobile: DemoMobile, PAN: DemoPAN, GreetingName: DemoGreetingName,
		Password: DemoPassword, MPIN: DemoMPIN, TOTPSeed: DemoTOTPSeed,
		Caches: map[string]int64{"lastUpdatedTS": 1654684389, "multiplewatchlists": 1654684389, "watchlist": 1638271224},
	})
	if err != nil {
		return err
	}
	for _, n := range missing {
		ucc, userID, mobile, pan := DemoUCC, DemoUserID, DemoMobile, DemoPAN
		if n > 0 {
			ucc, userID, mobile, pan = DemoAccount(n)
		}
		h := first.As(demoID(n), ucc, userID, mobile, credential.Secret(pan))
		if _, err := admin.AddHashed(ctx, h); err != nil && !errors.Is(err, login.ErrExists) {
			return fmt.Errorf("demo account %s: %w", h.UCC, err)
		}
	}
	return nil
}

// missingDemo returns which demo accounts are missing; 0 is the first one.
func missingDemo(ctx context.Context, admin *operator.Admin, accounts int) ([]int, error) {
	var missing []int
	for n := range accounts + 1 {
		ucc := DemoUCC
		if n > 0 {
			ucc, _, _, _ = DemoAccount(n)
		}
		_, err := admin.ByUCC(ctx, ucc)
		if errors.Is(err, login.ErrNotFound) {
			missing = append(missing, n)
		} else if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// Funds is what an account on paper begins with: ten lakh rupees.
const Funds = 1_000_000 * listing.Rupee
