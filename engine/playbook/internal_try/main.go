package main

import (
	"context"
	"fmt"
	"os"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/tasks"
)

func main() {
	for _, f := range os.Args[1:] {
		pb, src, l := playbook.Load(context.Background(), f, playbook.Options{Kinds: tasks.All()})
		diag.Write(os.Stdout, l.Sorted(), src.Text)
		if pb != nil {
			fmt.Println(f, len(pb.All()), "tasks", len(pb.Edges()), "edges", len(pb.StaticAsserts()), "static asserts")
		}
	}
}
