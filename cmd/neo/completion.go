package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCmd) Help() string {
	return `Examples:
  source <(neo completion bash)
  neo completion zsh > "${fpath[1]}/_neo"
  neo completion fish > ~/.config/fish/completions/neo.fish`
}

func (c *completionCmd) Run(k *kong.Context, t *terminal) error {
	words := map[string][]string{}
	collect(k.Model.Node, "", words)
	var script strings.Builder
	switch c.Shell {
	case "bash", "zsh":
		bash(&script, words, c.Shell == "zsh")
	case "fish":
		fish(&script, k.Model.Node, nil)
	}
	_, err := io.WriteString(t.out, script.String())
	return err
}

// collect records for each command, by its words ("account add"), what may follow.
func collect(n *kong.Node, path string, words map[string][]string) {
	var next []string
	for _, child := range n.Children {
		next = append(next, child.Name)
		collect(child, strings.TrimSpace(path+" "+child.Name), words)
	}
	for _, f := range n.Flags {
		next = append(next, "--"+f.Name)
	}
	for _, arg := range n.Positional {
		for value := range strings.SplitSeq(arg.Enum, ",") {
			next = append(next, value)
		}
	}
	words[path] = next
}

// profileValues completes the value of --profile in bash and zsh. bash makes
// --profile=NAME three words, zsh leaves it one.
const profileValues = `  local now=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} given=
  case "$now" in
    --profile=*) given=--profile= now=${now#--profile=} before=--profile ;;
    '=') now= ;;
  esac
  [ "$before" = '=' ] && before=${COMP_WORDS[COMP_CWORD-2]}
  if [ "$before" = --profile ]; then
    COMPREPLY=($(compgen -P "$given" -W "$("${COMP_WORDS[0]}" profiles --names 2>/dev/null)" -- "$now"))
    return
  fi
`

// bash writes a completion function; zsh runs it through bashcompinit.
func bash(w *strings.Builder, words map[string][]string, zsh bool) {
	if zsh {
		w.WriteString("#compdef neo\nautoload -U +X bashcompinit && bashcompinit\n")
	}
	w.WriteString("_neo() {\n  local word at= i\n  for ((i = 1; i < COMP_CWORD; i++)); do\n    word=${COMP_WORDS[i]}\n" +
		"    case \"$at $word\" in\n")
	for _, path := range slices.Sorted(maps.Keys(words)) {
		if path != "" {
			parent, last := "", path
			if i := strings.LastIndex(path, " "); i >= 0 {
				parent, last = path[:i], path[i+1:]
			}
			fmt.Fprintf(w, "      '%s %s') at='%s' ;;\n", parent, last, path)
		}
	}
	w.WriteString("    esac\n  done\n" + profileValues + "  case \"$at\" in\n")
	for _, path := range slices.Sorted(maps.Keys(words)) {
		fmt.Fprintf(w, "    '%s') COMPREPLY=($(compgen -W '%s' -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n", path, strings.Join(words[path], " "))
	}
	w.WriteString("  esac\n}\ncomplete -o default -F _neo neo\n")
	if zsh { // autoloaded as _neo, the file is the function's first call
		w.WriteString("[ \"${funcstack[1]}\" = _neo ] && _bash_complete -o default -F _neo\n")
	}
}

// fish writes one line for each command and flag.
func fish(w *strings.Builder, n *kong.Node, path []string) {
	seen := "__fish_use_subcommand"
	for i, word := range path {
		if i == 0 {
			seen = "__fish_seen_subcommand_from " + word
		} else {
			seen += "; and __fish_seen_subcommand_from " + word
		}
	}
	if len(path) > 0 && len(n.Children) > 0 {
		seen += "; and not __fish_seen_subcommand_from"
		for _, child := range n.Children {
			seen += " " + child.Name
		}
	}
	for _, child := range n.Children {
		fmt.Fprintf(w, "complete -c neo -n '%s' -f -a %s -d '%s'\n", seen, child.Name, strings.ReplaceAll(child.Help, "'", ""))
		fish(w, child, append(path, child.Name))
	}
	for _, f := range n.Flags {
		value := "" // -r: a value follows
		if !f.IsBool() {
			value = " -r"
		}
		if f.Name == "profile" {
			value = " -r -f -a '(neo profiles --names 2>/dev/null)'"
		}
		fmt.Fprintf(w, "complete -c neo -n '%s' -l %s%s -d '%s'\n", seen, f.Name, value, strings.ReplaceAll(f.Help, "'", ""))
	}
}
