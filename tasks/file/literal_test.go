package file

import (
	"regexp"
	"strings"
	"testing"
)

// Where an expression matches, its literal is there: else a line would be left as it is that should be replaced.
func TestTheLiteralOfAnExpressionStandsInWhatItMatches(t *testing.T) {
	const text = "127.0.0.1 localhost\n127.0.1.1 name\nab\nac\nSELINUX=enforcing\n  key = value\n"
	for expr, known := range map[string]bool{
		`^127\.0\.1\.1\s.*\n`: true, `^ab|ac`: true, `ab|^ac`: false, `^(ab|zz)`: false, `(?i)^selinux=.*`: false,
		`\s*key\s*=`: false, `^^127`: true, `^`: false, `.*`: false, `name$`: true, `(?:^name)`: true,
	} {
		l := literal(expr)
		if known != (l != "") {
			t.Errorf("%s: literal %q", expr, l)
		}
		for _, found := range regexp.MustCompile("(?m)"+expr).FindAllString(text, -1) {
			if !strings.Contains(found, l) {
				t.Errorf("%s matches %q, without %q", expr, found, l)
			}
		}
	}
}
