package download

import (
	"slices"
	"testing"
)

func TestOnlyADownloadThroughTheControllerAsksItForURLs(t *testing.T) {
	p := Download{URL: "https://a/b.tar.gz", ChecksumURL: "https://a/sums", Via: "host"}
	if uses := p.Uses(); len(uses.URLs)+len(uses.Files) != 0 {
		t.Errorf("%+v", uses)
	}
	p.Via = "controller"
	if uses := p.Uses(); !slices.Equal(uses.URLs, []string{p.URL, p.ChecksumURL}) || len(uses.Files) != 0 {
		t.Errorf("%+v", uses)
	}
}
