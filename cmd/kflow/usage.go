package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kflow/kflow/engine/diag"
)

// usageError is a command line that is wrong, with the way out.
type usageError struct{ text, help string }

func (e usageError) Error() string { return e.text }

// Help is the way out.
func (e usageError) Help() string { return e.help }

// helpful lets the commands below root say in our words what is wrong with their arguments and flags.
func helpful(root *cobra.Command) {
	root.SetFlagErrorFunc(flagError)
	for _, c := range root.Commands() {
		if c.Args == nil {
			continue
		}
		check := c.Args
		c.Args = func(c *cobra.Command, args []string) error { return argsError(c, args, check(c, args)) }
	}
}

// argsError is for arguments that are too few, too many, or none of those a command knows.
func argsError(c *cobra.Command, args []string, err error) error {
	if err == nil {
		return nil
	}
	_, wanted, _ := strings.Cut(strings.TrimSuffix(c.UseLine(), " [flags]"), c.CommandPath()+" ")
	if wanted == "" {
		wanted = "no argument"
	}
	given := "none was given"
	if len(args) > 0 {
		given = "what was given is: " + strings.Join(args, " ")
	}
	return usageError{fmt.Sprintf("`%s` wants %s; %s", c.Name(), wanted, given), seeHelp(c)}
}

func seeHelp(c *cobra.Command) string { return c.CommandPath() + " --help" }

var badValue = regexp.MustCompile(`^invalid argument "(.*)" for "(?:-\w, )?--([a-z-]+)" flag: `)

// flagError is for flags that are unknown, or have a value that is none of theirs.
func flagError(c *cobra.Command, err error) error {
	text, help := err.Error(), seeHelp(c)
	if name, ok := strings.CutPrefix(text, "unknown flag: --"); ok {
		if near := diag.Nearest(name, flagNames(c)); near != "" {
			help = fmt.Sprintf("did you mean `--%s`? %s lists all", near, help)
		}
		return usageError{text, help}
	}
	if m := badValue.FindStringSubmatch(text); m != nil {
		if f := c.Flags().Lookup(m[2]); f != nil {
			value, usage := pflag.UnquoteUsage(f)
			return usageError{fmt.Sprintf("--%s: %q is none of its values", f.Name, m[1]), fmt.Sprintf("--%s %s: %s", f.Name, value, usage)}
		}
	}
	return usageError{text, help}
}

func flagNames(c *cobra.Command) []string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}
