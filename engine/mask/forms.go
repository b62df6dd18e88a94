package mask

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// formsOf are the forms of a secret that are long enough to be looked for, some of them more than once.
func formsOf(secret string) (all []string) {
	texts := []string{secret, strings.TrimSpace(secret)}
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) >= MinLine {
			texts = append(texts, line)
		}
	}
	for _, text := range texts {
		if len(text) < MinSecret {
			continue
		}
		for _, form := range written(text) {
			if len(form) >= MinSecret {
				all = append(all, form)
			}
		}
	}
	return all
}

// written is text in all the ways in which it may be written.
func written(text string) []string {
	forms := []string{text, url.QueryEscape(text), url.PathEscape(text), shellQuoted(text), backslashed(text)}
	forms = append(forms, inJSON(text, true), inJSON(text, false))
	for _, quote := range []string{strconv.Quote(text), strconv.QuoteToASCII(text)} {
		forms = append(forms, quote[1:len(quote)-1])
	}
	return append(forms, inBase64(text)...)
}

// inJSON is the inside of a JSON string. Programs differ in whether they escape < > and &.
func inJSON(text string, html bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	if enc.Encode(text) != nil {
		return text
	}
	return strings.TrimSuffix(strings.TrimPrefix(b.String(), `"`), "\"\n")
}

// shellQuoted is the inside of '...' where a quote in the text is written '\”.
func shellQuoted(text string) string { return strings.ReplaceAll(text, "'", `'\''`) }

// backslashed has a backslash before every character that is special to a shell, as bash's printf %q writes it.
func backslashed(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if strings.IndexByte(" !\"#$&'()*,;<>?[\\]^`{|}~", c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// inBase64 is text in both alphabets: whole, in lines of 64 and 76 characters, and the characters that are the same
// wherever the text stands inside a longer one (there are three cases, by the offset modulo 3).
func inBase64(text string) []string {
	var forms []string
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		whole := enc.EncodeToString([]byte(text))
		forms = append(forms, whole)
		for _, width := range []int{64, 76} {
			for i := 0; i+width <= len(whole); i += width {
				forms = append(forms, whole[i:i+width])
			}
		}
		for before := range 3 {
			padded := enc.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, before), text...))
			first := (before*8 + 5) / 6          // characters before it hold bits of what comes before
			last := (before + len(text)) * 8 / 6 // characters from it on hold bits of what comes after
			forms = append(forms, padded[first:last])
		}
	}
	return forms
}
