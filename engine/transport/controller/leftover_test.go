package controller

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/kflow/kflow/engine/host/whole"
)

// Downloads are large: what a kflow that was killed has left of one is not left for ever.
func TestADownloadThatWasCutOffLeavesNothing(t *testing.T) {
	c, dir := newController(t)
	cache := filepath.Join(dir, "cache")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	left := whole.Name(filepath.Join(cache, "download"))
	if err := os.WriteFile(left, []byte("half an artifact"), 0o600); err != nil {
		t.Fatal(err)
	}
	during := []string{"not looked"}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		during, _ = filepath.Glob(filepath.Join(cache, "[0-9a-f]*"))
		io.WriteString(w, "artifact")
	}))
	defer web.Close()
	if got, err := download(t, c, web.URL, ""); got != "artifact" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if len(during) != 0 {
		t.Errorf("while it was downloaded: %v", during)
	}
	entries, err := os.ReadDir(cache)
	if err != nil || len(entries) != 1 || entries[0].Name() != sumOf("artifact") {
		t.Errorf("%v, %v", entries, err)
	}
}
