//go:build tools

// Package tools pins Helm 4, which installs the chart too; it is never built itself.
package tools

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
