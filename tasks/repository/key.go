package repository

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/hostfile"
)

// maxKey is the size of a key at most.
const maxKey = 1 << 20

// keyChanges compares the key of a repository. A key from an address is downloaded when there is none, or when the address
// in the sources file is another. hashable is what of the key the record depends on.
func (a *Apt) keyChanges(ctx context.Context, h task.Host, keyring, sources string) (changes []task.Change, hashable string, err error) {
	have, exists, err := hostfile.Read(ctx, h, keyring)
	if err != nil {
		return nil, "", err
	}
	if a.KeyURL != "" {
		if exists && strings.Contains(sources, "# key: "+a.KeyURL+"\n") {
			return nil, a.KeyURL, nil
		}
		return []task.Change{{Summary: "download the key " + a.KeyURL, Apply: func(ctx context.Context, h task.Host) error {
			return a.download(ctx, h, keyring)
		}}}, a.KeyURL, nil
	}
	c := a.Key
	if c == nil {
		c = a.KeySource
	}
	if c == nil {
		return nil, "", nil
	}
	r, err := h.Open(ctx, *c)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, maxKey))
	if err != nil {
		return nil, "", err
	}
	key, err := dearmor(string(b))
	if err != nil {
		return nil, "", task.Failf("the key of the repository: %w", err)
	}
	return hostfile.Want(keyring, have, key, exists, task.Attr{}), key, nil
}

// download gets the key from its address.
func (a *Apt) download(ctx context.Context, h task.Host, keyring string) error {
	c := retryablehttp.NewClient()
	c.HTTPClient, c.Logger = &http.Client{Transport: h.HTTP()}, nil
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.Backoff = func(lo, hi time.Duration, attempt int, _ *http.Response) time.Duration {
		_ = h.Sleep(ctx, retryablehttp.DefaultBackoff(lo, hi, attempt, nil)) // the host's clock; a Retry-After is not obeyed
		return 0
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, a.KeyURL, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return task.Failf("GET %s: %w", a.KeyURL, err).Retryable().WithHint("this host does not reach the server: check network and proxy, or give the key as key_source")
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return task.Failf("GET %s: %s", a.KeyURL, resp.Status).WithHint("check the address of the key; for pkgs.k8s.io it differs for each minor version")
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxKey))
	if err != nil {
		return task.Failf("GET %s: %w", a.KeyURL, err).Retryable()
	}
	key, err := dearmor(string(b))
	if err != nil {
		return task.Failf("%s: %w", a.KeyURL, err).WithHint("open the address in a browser: it should be a key, not a web page")
	}
	return hostfile.Write(ctx, h, keyring, key, task.Attr{})
}

const (
	armorStart = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	armorEnd   = "-----END PGP PUBLIC KEY BLOCK-----"
)

// dearmor turns an armored key (or several) into the binary form all versions of apt read; a binary key stays as it is.
func dearmor(text string) (string, error) {
	if !strings.Contains(text, armorStart) {
		if text == "" || text[0]&0x80 == 0 { // every OpenPGP packet begins with a set bit
			return "", fmt.Errorf("this is no OpenPGP key")
		}
		return text, nil
	}
	var out strings.Builder
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, armorStart)
		if !ok {
			return out.String(), nil
		}
		body, next, ok := strings.Cut(after, armorEnd)
		if !ok {
			return "", fmt.Errorf("the armored key is cut off")
		}
		b, err := decodeArmor(body)
		if err != nil {
			return "", err
		}
		out.Write(b)
		rest = next
	}
}

// decodeArmor decodes what is between the lines of the armor: headers, an empty line, base64, a checksum.
func decodeArmor(body string) ([]byte, error) {
	var data strings.Builder
	headers := true
	for line := range strings.Lines(strings.TrimLeft(body, " \r\n")) {
		line = strings.TrimSpace(line)
		switch {
		case headers && strings.Contains(line, ": "):
		case line == "", line[0] == '=' && len(line) == 5:
			headers = false
		default:
			headers = false
			data.WriteString(line)
		}
	}
	b, err := base64.StdEncoding.DecodeString(data.String())
	if err != nil {
		return nil, fmt.Errorf("the armored key is damaged: %w", err)
	}
	return b, nil
}
