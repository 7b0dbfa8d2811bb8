//go:build tools

// Package tools pins CoreDNS, which resolves the names of Services; it is never built itself.
package tools

import (
	_ "github.com/coredns/coredns"
)
