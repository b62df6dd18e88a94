module github.com/kflow/kflow

go 1.26
