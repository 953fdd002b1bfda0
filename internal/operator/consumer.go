package operator

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/credential"
	"neoapi/internal/login"
)

// keyForm is the form of a consumer's key.
var keyForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// AddConsumer stores a new consumer and returns its secret, which cannot be shown
// again: only its keyed hash is kept. An empty key or secret is generated. rate is
// that of [login.Consumer]. Errors wrap ErrExists if the key is taken.
func (m *Admin) AddConsumer(ctx context.Context, key, name string, secret credential.Secret, rate int) (login.Consumer, credential.Secret, error) {
	if key == "" {
		key = uuid.NewString()
	}
	if !keyForm.MatchString(key) {
		return login.Consumer{}, "", login.Invalid("key", "must be up to 64 letters, digits, dots, dashes, underscores or at signs")
	}
	name, err := nameOf(name)
	if err != nil {
		return login.Consumer{}, "", err
	}
	if secret == "" {
		secret = newConsumerSecret()
	}
	c := login.Consumer{
		Key: key, Incarnation: uuid.NewString(), Name: name, Rate: rate, Created: m.Now().Truncate(time.Millisecond), // as it is stored
		SecretHash: m.Vault.MAC(credential.PurposeConsumerSecret, key, string(secret)),
	}
	return c, secret, m.Store.AddConsumer(ctx, c, m.consumerEvent("consumer added", key))
}

// RemoveConsumer removes a consumer. Its access tokens and sessions end within
// 1 s. Errors: ErrNotFound.
func (m *Admin) RemoveConsumer(ctx context.Context, key string) error {
	return m.Store.RemoveConsumer(ctx, key, m.consumerEvent("consumer removed", key))
}

// SetConsumerRate changes a consumer's rate, which is that of [login.Consumer]: running
// services apply it within 1 s. Errors: ErrNotFound.
func (m *Admin) SetConsumerRate(ctx context.Context, key string, rate int) error {
	return m.Store.ChangeConsumer(ctx, key, m.consumerEvent("consumer rate changed", key), func(c *login.Consumer) error {
		c.Rate = rate
		return nil
	})
}

// MaxOverlap is the longest time for which a consumer's secret may go on after its
// rotation.
const MaxOverlap = 90 * 24 * time.Hour

// RotateConsumer gives a consumer a new secret and returns it, to be shown once. The
// old one, and access tokens obtained with it, work for an overlap; a secret older
// than that ends now. Errors: of KindInput, ErrNotFound.
func (m *Admin) RotateConsumer(ctx context.Context, key string, overlap time.Duration) (credential.Secret, time.Time, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return "", time.Time{}, login.Invalid("overlap", fmt.Sprintf("must be between 0 and %s", MaxOverlap))
	}
	secret, until := newConsumerSecret(), m.Now().Add(overlap).Truncate(time.Millisecond)
	hash := m.Vault.MAC(credential.PurposeConsumerSecret, key, string(secret))
	err := m.Store.ChangeConsumer(ctx, key, m.consumerEvent("consumer secret rotated", key), func(c *login.Consumer) error {
		c.OldSecretHash, c.OldSecretUntil = c.SecretHash, until
		if overlap == 0 {
			c.OldSecretHash, c.OldSecretUntil = nil, time.Time{}
		}
		c.SecretHash = hash
		return nil
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return secret, until, nil
}

func newConsumerSecret() credential.Secret {
	return credential.Secret(strings.TrimSpace(credential.NewMasterKey()))
}

// SetConsumerNetworks sets the networks from which a consumer may send. Errors: ErrNotFound.
func (m *Admin) SetConsumerNetworks(ctx context.Context, key string, allow login.Networks) error {
	if len(allow) > login.MaxNetworks {
		return errors.New("too many networks")
	}
	return m.Store.ChangeConsumer(ctx, key, m.consumerEvent("consumer networks changed", key), func(c *login.Consumer) error {
		c.Allow = allow
		return nil
	})
}
