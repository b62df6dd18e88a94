// Command gen writes the generated files: JSON schemas to schema/, the documentation of kinds to docs/kinds/.
//
//	go run ./engine/schema/gen [-root DIR]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kflow/kflow/engine/schema"
	"github.com/kflow/kflow/tasks"
)

func main() {
	root := flag.String("root", ".", "root of the repository")
	flag.Parse()
	if err := generate(*root); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// generate writes all files below root and removes pages of kinds that are no more.
func generate(root string) error {
	files, err := schema.Files(tasks.All())
	if err != nil {
		return err
	}
	stale, err := stalePages(root, files)
	if err != nil {
		return err
	}
	for _, path := range stale {
		err = errors.Join(err, os.Remove(filepath.Join(root, path)))
	}
	for path, content := range files {
		full := filepath.Join(root, path)
		err = errors.Join(err, os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, content, 0o644))
	}
	return err
}

// stalePages are the pages below docs/kinds that are not among files.
func stalePages(root string, files map[string][]byte) ([]string, error) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "kinds", "*.md"))
	if err != nil {
		return nil, err
	}
	var stale []string
	for _, page := range pages {
		path := "docs/kinds/" + filepath.Base(page)
		if _, current := files[path]; !current {
			stale = append(stale, path)
		}
	}
	return stale, nil
}
