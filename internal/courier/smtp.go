package courier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"net/textproto"
	"regexp"
	"strings"
	"text/template"
	"time"

	gomail "github.com/wneessen/go-mail"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/outward"
)

// An smtpEntry is a mail server, as the file describes it.
type smtpEntry struct {
	Host         string `yaml:"host"`
	Port         int    `yaml:"port"`
	TLS          string `yaml:"tls"`
	CA           string `yaml:"ca"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password-file"`
	From         string `yaml:"from"`
	Subject      string `yaml:"subject"`
	Body         string `yaml:"body"`
}

// A mailer sends codes by e-mail, through one server and never in clear.
type mailer struct {
	host     string
	port     int
	implicit bool // TLS from the first byte; otherwise STARTTLS, without which nothing is sent
	tls      *tls.Config
	user     string
	password credential.Secret
	from     *mail.Address
	subject  *template.Template
	body     *template.Template
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9.:-]+$`)

func (e *smtpEntry) way() (_ way, problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	s := &mailer{host: e.Host, port: e.Port, user: e.User}
	if !hostForm.MatchString(e.Host) {
		problem("host: must be a name such as mail.example.com")
	}
	switch e.TLS {
	case "", "starttls":
	case "implicit":
		s.implicit = true
	default:
		problem("tls: must be starttls or implicit")
	}
	if s.port == 0 {
		s.port = map[bool]int{false: 587, true: 465}[s.implicit]
	}
	if s.port < 1 || s.port > 65535 {
		problem("port: %d is not between 1 and 65535", e.Port)
	}
	var err error
	if s.tls, err = outward.TLS(e.CA, "", ""); err != nil {
		problems = append(problems, err)
	}
	s.tls.ServerName = e.Host
	if (e.User == "") != (e.PasswordFile == "") {
		problem("user and password-file belong together: give both or neither")
	} else if e.User != "" {
		if s.password, err = outward.Secret(e.PasswordFile); err != nil {
			problem("password-file: %w", err)
		}
	}
	if s.from, err = mail.ParseAddress(e.From); err != nil {
		problem("from: must be an address such as codes@example.com, or Name <codes@example.com>")
	}
	if s.subject, err = mailTemplate("subject", e.Subject); err != nil {
		problems = append(problems, err)
	}
	if s.body, err = mailTemplate("body", e.Body); err != nil {
		problems = append(problems, err)
	}
	return s, problems
}

// mailTemplate reads the subject or the body of a mail.
func mailTemplate(what, text string) (*template.Template, error) {
	t, err := template.New(what).Option("missingkey=error").Parse(text)
	var out strings.Builder
	if err == nil {
		err = t.Execute(&out, sample)
	}
	switch {
	case err != nil:
		return t, fmt.Errorf("%s: %w", what, err)
	case text == "":
		return t, fmt.Errorf("%s: is missing", what)
	case what == "body" && !strings.Contains(out.String(), sample.Code):
		return t, errors.New("body: does not contain {{.Code}}")
	case what == "subject" && (strings.Contains(out.String(), sample.Code) || strings.ContainsAny(out.String(), "\r\n")):
		return t, errors.New("subject: must be one line, without the code, which notifications would show")
	}
	return t, nil
}

func (s *mailer) reaches(a login.Account) bool { return a.Email != "" }

// send hands a message to the server. Errors contain only the server's code, not its
// text, which may quote the message.
func (s *mailer) send(ctx context.Context, m login.Message) error {
	message, err := s.message(m)
	if err != nil {
		return err
	}
	left := defaultTimeout
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	var over line
	defer over.close()
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTLSConfig(s.tls), gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithTimeout(max(left, time.Millisecond)),
		gomail.WithoutNoop(), gomail.WithoutRset(), gomail.WithDialContextFunc(over.dial(ctx, s)),
	}
	if s.implicit {
		options = append(options, gomail.WithSSL())
	}
	if s.user != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&auth{mailer: s}))
	}
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return errors.New("the mail client cannot be made")
	}
	doing := "connecting"
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err == nil {
		doing = "sending"
		err = client.SendWithSMTPClient(conn, message)
		over.leave()
		_ = client.CloseWithSMTPClient(conn) // what the server has accepted stays accepted
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // which has closed the connection
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case over.endless():
		return fmt.Errorf("%s: %w", doing, errEndless)
	}
	return said(doing, err)
}

func (s *mailer) message(m login.Message) (*gomail.Msg, error) {
	data := fieldsOf(m)
	var subject, body strings.Builder
	if s.subject.Execute(&subject, data) != nil || s.body.Execute(&body, data) != nil {
		return nil, fmt.Errorf("the text cannot be made: %w", login.ErrRefused)
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(s.from)
	if err := message.To(m.Account.Email); err != nil {
		return nil, fmt.Errorf("the account's address: %w", login.ErrRefused)
	}
	message.Subject(subject.String())
	_, domain, _ := strings.Cut(s.from.Address, "@")
	message.SetMessageIDWithValue(m.ID + "@" + domain) // the same if sent again
	message.SetDate()
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetBodyString(gomail.TypeTextPlain, body.String())
	return message, nil
}

// said returns what went wrong, without the server's text.
func said(doing string, err error) error {
	code := 0
	var answer *textproto.Error
	var garbled textproto.ProtocolError // which quotes the answer
	var failed *gomail.SendError
	switch {
	case errors.As(err, &failed):
		code = failed.ErrorCode()
	case errors.As(err, &answer):
		code = answer.Code
	case errors.As(err, &garbled):
		return fmt.Errorf("%s: the mail server does not speak SMTP", doing)
	default:
		return fmt.Errorf("%s: %w", doing, err) // of the network or of TLS
	}
	switch {
	case code >= 550 && code < 560:
		return fmt.Errorf("%s: the mail server answered %d: %w", doing, code, login.ErrRefused)
	case code > 0:
		return fmt.Errorf("%s: the mail server answered %d", doing, code)
	}
	return fmt.Errorf("%s: the connection to the mail server broke", doing)
}
