package command

import (
	"strings"
	"testing"
)

func TestALongCommandIsNotCutInTheMiddleOfASecret(t *testing.T) {
	const password = "correct horse battery staple"
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		command Command
		want    string
	}{
		"short":                {Command{Argv: []string{"echo", password}}, "`echo " + password + "`"},
		"an argument":          {Command{Argv: []string{"login", long(95), password, "now"}}, "`login " + long(95) + " ...`"},
		"the last one":         {Command{Argv: []string{"login", long(95), password}}, "`login " + long(95) + " ...`"},
		"the first one":        {Command{Argv: []string{long(200)}}, "`...`"},
		"lines":                {Command{Argv: []string{"sh", "-c", "one\ntwo"}}, "`sh -c one ..`"},
		"a long line of many":  {Command{Argv: []string{"sh", "-c", long(150) + "\n" + password}}, "`sh -c ...`"},
		"a shell":              {Command{Shell: true, Argv: []string{"login " + long(95) + " '" + password + "' now"}}, "`login " + long(95) + " ...`"},
		"a shell and a word":   {Command{Shell: true, Argv: []string{"login " + long(95) + " now hunter2hunter2hunter2"}}, "`login " + long(95) + " now ...`"},
		"quotes inside quotes": {Command{Shell: true, Argv: []string{`a "it's ` + long(95) + `" b ` + password}}, "`a \"it's " + long(95) + "\" b correct ...`"},
		"a secret command":     {Command{Secret: true, Argv: []string{password}}, "a secret command"},
	} {
		if got := c.command.name(); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
