package host

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// UseProxies sets the proxies that file (/etc/environment) names in the environment of this process, unless it has them:
// a session over SSH that goes through sudo has lost them. Call it before HTTP is used first. The error is that of
// reading the file; that there is none is no error.
func UseProxies(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		k, v, ok := strings.Cut(line, "=")
		if ok && isProxy(k) && os.Getenv(k) == "" {
			os.Setenv(k, strings.Trim(v, `"'`))
		}
	}
	return nil
}

func isProxy(key string) bool {
	switch strings.ToLower(key) {
	case "http_proxy", "https_proxy", "no_proxy":
		return true
	}
	return false
}
