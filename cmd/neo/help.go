package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// groups are the groups of commands, in the order in which neo alone shows them.
var groups = [][2]string{{"trade", "Log in and trade"}, {"service", "Run the service"}, {"program", "This program"}}

// help prints the help of a command, or for neo itself a page that fits a terminal of
// 24 lines.
func help(options kong.HelpOptions, parsed *kong.Context) error {
	if parsed.Selected() != nil {
		return kong.DefaultHelpPrinter(options, parsed)
	}
	_, err := io.WriteString(parsed.Stdout, wrap(overview(parsed.Model.Children), width(parsed.Stdout), 14))
	return err
}

func overview(all []*kong.Node) string {
	var page strings.Builder
	page.WriteString(`Usage: neo COMMAND. For help: neo help COMMAND, or neo help exit-codes.
To try it: neo sandbox, then neo login --env http://127.0.0.1:9155 ... as shown.

`)
	for _, group := range groups {
		page.WriteString(group[1] + ":\n")
		for _, c := range all {
			if c.Tag.Get("in") == group[0] {
				about := c.Help
				if also := c.Tag.Get("also"); also != "" {
					about = strings.TrimSuffix(about, ".") + "; also: " + also + "."
				}
				fmt.Fprintf(&page, "  %-10s  %s\n", c.Name, about)
			}
		}
	}
	page.WriteString("Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 refused, 4 later.\n")
	return page.String()
}

type helpCmd struct {
	About []string `arg:"" optional:"" placeholder:"COMMAND" help:"A command, such as account add; or exit-codes."`
}

func (helpCmd) Help() string {
	return `Examples:
  neo help account add
  neo help exit-codes`
}

func (c *helpCmd) Run(ctx context.Context, t *terminal) error {
	if slices.Equal(c.About, []string{"exit-codes"}) {
		_, err := io.WriteString(t.out, wrap(aboutExitCodes(), width(t.out), 7))
		return err
	}
	if code := run(ctx, append(c.About, "--help"), t.in, t.out, t.err); code != exitDone {
		return exitError(code)
	}
	return nil
}
