//go:build tools

// Package tools pins kwok, which simulates nodes and pods; it is never built itself.
package tools

import (
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
