//go:build tools

// Package tools pins helm-docs, which writes the chart's README; it is never built itself.
package tools

import (
	_ "github.com/norwoodj/helm-docs/cmd/helm-docs"
)
