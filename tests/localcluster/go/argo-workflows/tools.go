//go:build tools

// Package tools pins the controller of Argo Workflows, which the benchmark compares with ours; it is never built itself.
package tools

import (
	_ "github.com/argoproj/argo-workflows/v4/cmd/workflow-controller"
)
