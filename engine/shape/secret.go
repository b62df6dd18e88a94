package shape

import (
	"fmt"
	"unicode/utf8"
)

// MinSecret is the least length of a secret, in characters: a shorter one can't be masked without masking everything else.
const MinSecret = 6

// ErrShortSecret is what CheckSecret says.
var ErrShortSecret = fmt.Errorf("a secret must have at least %d characters, else it could not be kept out of logs", MinSecret)

// CheckSecret refuses a secret of which a text is too short to be masked.
func CheckSecret(v any) error {
	for _, s := range Texts(v, nil) {
		if s != "" && utf8.RuneCountInString(s) < MinSecret {
			return ErrShortSecret
		}
	}
	return nil
}

// Texts adds the texts in a plain value to out: of a secret, these are masked. true, false and null give nothing away.
func Texts(v any, out []string) []string {
	switch v := v.(type) {
	case nil, bool:
	case []any:
		for _, x := range v {
			out = Texts(x, out)
		}
	case map[string]any:
		for _, x := range v {
			out = Texts(x, out)
		}
	default:
		out = append(out, fmt.Sprint(v))
	}
	return out
}
