package mask

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kflow/kflow/engine/event"
)

const secret = `p4ss'w"ör<d>&\ $x`

func TestEveryFormOfASecretIsMasked(t *testing.T) {
	html, _ := json.Marshal(secret)
	b64 := base64.StdEncoding.EncodeToString
	for name, text := range map[string]string{
		"value":            secret,
		"in a text":        "login with " + secret + ", ok?",
		"JSON":             string(html),
		"JSON without <>":  `{"a":"p4ss'w\"ör<d>&\\ $x"}`,
		"Go string":        strconv.Quote(secret),
		"URL query":        "https://h/?p=" + url.QueryEscape(secret) + "&q=1",
		"URL path":         "https://h/" + url.PathEscape(secret) + "/x",
		"shell quotes":     "echo '" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
		"printf %q":        `p4ss\'w\"ör\<d\>\&\\\ \$x`,
		"base64":           b64([]byte(secret)),
		"base64url":        base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"base64 with \\n":  b64([]byte(secret + "\n")),
		"base64, user:":    b64([]byte("admin:" + secret)),
		"base64, u1:":      b64([]byte("u1:x:" + secret + "tail")),
		"base64, user u:":  b64([]byte("u:" + secret + "..")),
		"twice, adjoining": secret + secret,
	} {
		got := New(secret).String(text)
		if !strings.Contains(got, "***") {
			t.Errorf("%s: %q is not masked in %q", name, secret, got)
		}
		if strings.HasPrefix(name, "base64,") && len(got) > len(text)/2+6 {
			t.Errorf("%s: most of it is left: %q of %q", name, got, text)
		}
	}
}

func TestTextAroundASecretStays(t *testing.T) {
	m := New("hunter22", "other-secret")
	if got := m.String("user hunter22 and other-secret, hunter2"); got != "user *** and ***, hunter2" {
		t.Errorf("got %q", got)
	}
	if got := m.String("hunter22hunter22"); got != "***" {
		t.Errorf("adjoining secrets tell how many they are: %q", got)
	}
}

func TestOverlappingSecretsLeaveNothing(t *testing.T) {
	if got := New("abcdefgh", "efghijkl", "cdefgh").String("-abcdefghijkl-"); got != "-***-" {
		t.Errorf("got %q", got)
	}
}

func TestLinesOfAKeyAreMaskedOneByOne(t *testing.T) {
	key := "-----BEGIN KEY-----\r\nMIIEowIBAAKCAQEA\r\n  c2hvcnQgbGluZQ==\r\nabc\r\n-----END KEY-----\r\n"
	m := New(key)
	for line := range strings.Lines(key) {
		if line = strings.TrimSpace(line); len(line) >= MinLine && m.String("> "+line) != "> ***" {
			t.Errorf("%q is left as %q", line, m.String(line))
		}
	}
	if m.String("abc") != "abc" {
		t.Error("a short line is ordinary text")
	}
}

func TestAShortSecretIsIgnored(t *testing.T) {
	if got := New("", "1", "12345").String("0.12345"); got != "0.12345" {
		t.Errorf("got %q", got)
	}
}

func TestTheMarkIsNoPartOfASecret(t *testing.T) {
	m := New("hunter22", "a***b12")
	if got := m.String("ahunter22b12"); got != "a###b12" {
		t.Errorf("got %q", got)
	}
	if got := New("hunter22", "*#~^_.-+=@!?:;,|").String("hunthunter22er22"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestOutputsStayJSON(t *testing.T) {
	m := New(`","a":"`, "hunter22", "12345678")
	for in, want := range map[string]string{
		`{"x":"","a":""}`:                        `{"a":"","x":""}`,
		`{"token":"hunter22","n":1.50}`:          `{"n":1.50,"token":"***"}`,
		`{"hunter22":[{"b":"x \u0068unter22"}]}`: `{"***":[{"b":"x ***"}]}`,
		`[12345678,true,null]`:                   `["***",true,null]`,
		`not json hunter22`:                      `"not json ***"`,
	} {
		got := m.JSON(json.RawMessage(in))
		if string(got) != want || !json.Valid(got) {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// fill puts text into every string that v holds.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			quoted, _ := json.Marshal(map[string]any{"a": []string{text}})
			v.SetBytes(quoted)
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), text)
		fill(v.Index(1), text)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, text)
		fill(value, text)
		v.SetMapIndex(key, value)
	case reflect.Interface:
		v.Set(reflect.ValueOf([]any{text, map[string]any{text: struct{ A string }{text}}}))
	}
}

// full is an event with text in every string it can hold, but for those that name something.
func full(text string) event.Event {
	e := named("x " + text + " y")
	names := named("name")
	e.Type, e.Status, e.First, e.Counts = event.InstanceEnded, event.Failed, event.OK, nil
	e.Run, e.Instance, e.Task, e.Kind, e.Host, e.At, e.Pos = names.Run, names.Instance, names.Task, names.Kind, names.Host, names.At, names.Pos
	e.When, e.BlockedBy, e.Fingerprint, e.Parts, e.Machine = names.When, names.BlockedBy, names.Fingerprint, names.Parts, names.Machine
	e.Playbook, e.Name, e.Inventory, e.Info = names.Playbook, names.Name, names.Inventory, names.Info
	e.Failure.Class = names.Failure.Class
	for i := range e.Roots {
		r := &e.Roots[i]
		r.Status, r.Instance, r.Pos, r.Failure.Class = event.Failed, names.Roots[i].Instance, names.Roots[i].Pos, names.Failure.Class
	}
	return e
}

// named is an event with text in every string.
func named(text string) event.Event {
	var e event.Event
	fill(reflect.ValueOf(&e).Elem(), text)
	return e
}

// TestNamesStay: a task that has the name of a weak password must be found again when the run is resumed.
func TestNamesStay(t *testing.T) {
	e := named("keepalived")
	masked := New("keepalived").Event(e)
	for i := range masked.Roots {
		masked.Roots[i].Failure = e.Roots[i].Failure
	}
	masked.Title, masked.Line, masked.What, masked.Summary, masked.Diff = e.Title, e.Line, e.What, e.Summary, e.Diff
	masked.Failure, masked.Outputs = e.Failure, e.Outputs
	if d := cmp.Diff(e, masked); d != "" {
		t.Errorf("names were masked (-want +got)\n%s", d)
	}
}

func TestNoFieldOfAnEventHoldsASecret(t *testing.T) {
	e := full(secret)
	before := fmt.Sprintf("%+v", e)
	masked, err := json.Marshal(New(secret).Event(e))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(masked, &m); err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v", m); strings.Contains(text, secret) || strings.Contains(text, "p4ss") {
		t.Errorf("left: %s", text)
	}
	if after := fmt.Sprintf("%+v", e); after != before {
		t.Error("the event itself was changed")
	}
}

func TestMaskingLosesNoField(t *testing.T) {
	e := full("nothing to hide")
	want, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(New(secret).Event(e))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLearningDuringARun(t *testing.T) {
	m := New()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			token := fmt.Sprintf("abcdef.%016d", i)
			m.Learn(token)
			if got := m.String("join --token " + token); got != "join --token ***" {
				t.Errorf("got %q", got)
			}
		})
	}
	wg.Wait()
	if got := m.String("abcdef.0000000000000003 abcdef.0000000000000004"); got != "*** abcdef.0000000000000004" {
		t.Errorf("got %q", got)
	}
}

// TestManySecretsAreLearntOneByOne: each of thousands of hosts may have one of its own. If each cost as much as all before it
// this would take minutes.
func TestManySecretsAreLearntOneByOne(t *testing.T) {
	const count, limit = 3000, 20 * time.Second
	m, start := New(), time.Now()
	name := func(i int) string { return fmt.Sprintf("secret-of-%d-%d", i*7919%count, i) }
	for i := range count {
		m.Learn(name(i))
		if got := m.String("<" + name(i/2) + ">"); got != "<***>" {
			t.Fatalf("secret %d after %d: %q", i/2, i, got)
		}
	}
	if took := time.Since(start); took > limit {
		t.Errorf("%d secrets took %s", count, took)
	}
	if got := m.String("secret-of-nobody"); got != "secret-of-nobody" {
		t.Errorf("got %q", got)
	}
}

func FuzzTheSecretNeverAppears(f *testing.F) {
	f.Add("hunter22", "hunter23", "a hunter22 b", "z")
	f.Add("abcabc", "bcabcab", "abcabcabcabc", "***")
	f.Add("******", "#*#*#*", "*#******#", "")
	f.Add("hunter22", "*#~^_.-+=@!?:;,|", "hunthunter22er22", "")
	f.Add("a\nbcdefghij\n\\\"", "0000000", "e00000000", "\x00")
	f.Fuzz(func(t *testing.T, one, two, before, after string) {
		m := New(one, two)
		for _, secret := range []string{one, two} {
			if len(secret) < MinSecret {
				continue
			}
			for _, form := range append(written(secret), before) {
				if got := m.String(before + form + after); strings.Contains(got, secret) {
					t.Fatalf("%q is in %q", secret, got)
				}
			}
			raw, _ := json.Marshal(m.Event(full(secret)))
			var e event.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatal(err)
			}
			e.Type, e.Status, e.First = "", "", ""
			for i := range e.Roots {
				e.Roots[i].Status = ""
			}
			walk(t, reflect.ValueOf(e), secret)
		}
	})
}

// walk fails when any string below v holds the secret.
func walk(t *testing.T, v reflect.Value, secret string) {
	switch v.Kind() {
	case reflect.String:
		if strings.Contains(v.String(), secret) {
			t.Fatalf("%q is in %q", secret, v.String())
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walk(t, v.Elem(), secret)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walk(t, v.Field(i), secret)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			var x any
			if err := json.Unmarshal(v.Bytes(), &x); err != nil {
				t.Fatal(err)
			}
			v = reflect.ValueOf(&x).Elem()
			walk(t, v, secret)
			return
		}
		for i := range v.Len() {
			walk(t, v.Index(i), secret)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if v.Type().Key() == reflect.TypeFor[string]() && k.String() != "a" && k.String() != "A" {
				walk(t, k, secret)
			}
			walk(t, v.MapIndex(k), secret)
		}
	}
}

func BenchmarkString(b *testing.B) {
	m := New("hunter22", "abcdef.0123456789abcdef", strings.Repeat("MIIEowIBAAKCAQEAx\n", 60))
	line := strings.Repeat("[preflight] running pre-flight checks, nothing to see here ", 20)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		m.String(line)
	}
}
