package run_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kflow/kflow/engine/task"
)

// leaky lets a secret out wherever a playbook can: changes, diffs, output, failures, loops, conditions, messages of
// expressions, outputs that others read, values computed from it.
const leaky = `kflow: v1
name: leaky
inputs:
  password: {type: string, secret: true}
tasks:
  - {id: diff, put: {key: a, value: "x ${{ inputs.password }} y"}}
  - {id: encoded, put: {key: b, value: "${{ b64(inputs.password) }} ${{ sha256(inputs.password) }}"}}
  - {id: says, ask: "echo ${{ inputs.password }}"}
  - {id: reads, put: {key: c, value: "${{ tasks.says.outputs.said }}"}}
  - {id: loop, for_each: "[inputs.password, upper(inputs.password)]", put: {key: d, value: "${{ item }}"}}
  - {id: fails, allow_failure: true, act: "fail ${{ inputs.password }}"}
  - {id: retries, allow_failure: true, retry: {attempts: 2}, put: {key: h, value: "${{ lower(inputs.password) }}", then: fail}}
  - {id: skipped, when: inputs.password == "no", put: {key: e}}
  - {id: broken, allow_failure: true, put: {key: "${{ inputs.password }}", value: "${{ int(inputs.password) }}"}}
  - {id: wrong, allow_failure: true, act: {run: x, rerun: "${{ inputs.password }}"}}
  - {id: until, allow_failure: true, retry: {attempts: 2, until: result.outputs.said == inputs.password + "!"}, ask: "echo ${{ inputs.password }}"}
  - {id: var, put: {key: g, value: "${{ host.vars.bmc }}"}}
  - {id: token, run: on_demand, mint: {}}
  - {id: member, join: {cluster: c1, token: "${{ tasks.token.outputs.token }}"}}
`

func leak(t *testing.T, password string) {
	s := newSite(t, "h1 bmc=calvin-and-hobbes")
	s.vars = "secret_vars: [bmc]\n"
	s.inputs = map[string]any{"password": password}
	s.secrets = []string{password, "calvin-and-hobbes"}
	s.program("echo", func(_ context.Context, args []string) (task.Output, error) {
		return task.Output{Stdout: strings.Join(args, " ")}, nil
	})
	s.program("fail", func(_ context.Context, args []string) (task.Output, error) {
		return task.Output{Code: 75, Stderr: "wrong password " + strings.Join(args, " ")}, nil
	})
	s.program("mint", says("freshly-minted-token"))
	s.program("join", exits(1, "token freshly-minted-token was refused"))
	r := s.run(leaky)
	if r.err != nil || r.Exit != 3 {
		t.Fatalf("exit code %d, %v\n%s", r.Exit, r.err, r.failures())
	}
	r = s.resume(leaky, r.id)
	everything := r.text() + s.stored()
	for _, secret := range []string{password, strings.ToUpper(password), strings.ToLower(password), "calvin-and-hobbes", "freshly-minted-token"} {
		for what, form := range map[string]string{
			"as it is": secret, "in JSON": quoted(secret), "in base64": base64.StdEncoding.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(everything, form) {
				t.Errorf("secret %q can be seen %s: ..%s..", secret, what, around(everything, form))
			}
		}
	}
}

func quoted(s string) string { return strings.Trim(text([]any{s}), `[]"`) }

func around(text, part string) string {
	i := strings.Index(text, part)
	return text[max(0, i-120):min(len(text), i+len(part)+40)]
}

// stored is everything in the state folder.
func (s *site) stored() string {
	var b strings.Builder
	err := filepath.WalkDir(s.store.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s\n%s\n", path, text)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

func TestNoSecretIsEverShownOrStored(t *testing.T) {
	for name, password := range map[string]string{
		"words":            "Correct Horse Battery",
		"quotes":           `it's "quoted" \back\`,
		"lines":            "-----BEGIN KEY-----\nMIIabcdef\n-----END KEY-----\n",
		"markup":           "<a&b>=%41+%2B",
		"beyond ASCII":     "pässwörd-日本語",
		"looks like JSON":  `{"a":1,"b":[2]}`,
		"a number in text": "12345678",
		"an expression":    "${{ inputs.password }}",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { leak(t, password) })
		})
	}
}

func TestNoRandomSecretIsEverShownOrStored(t *testing.T) {
	alphabets := []string{"abcXYZ019", " \t\"'\\`$&<>{}[]:,=%+/*#", "äß日本語🔑é", "aA1 \n"}
	for seed := range uint64(some(40, 8)) {
		random := rand.New(rand.NewPCG(seed, 5))
		var b strings.Builder
		for b.Len() < 8+random.IntN(24) {
			letters := []rune(alphabets[random.IntN(len(alphabets))])
			b.WriteRune(letters[random.IntN(len(letters))])
		}
		password := b.String()
		if len(strings.TrimSpace(password)) < 8 {
			continue
		}
		bubble(t, func(t *testing.T) { leak(t, password) })
		if t.Failed() {
			t.Fatalf("seed %d, secret %q", seed, password)
		}
	}
}
