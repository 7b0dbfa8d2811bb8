//go:build tools

// Package tools pins Helm 3, which installs the chart; it is never built itself.
package tools

import (
	_ "helm.sh/helm/v3/cmd/helm"
)
