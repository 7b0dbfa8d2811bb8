// Reads YAML documents of kinds that are no part of Kubernetes itself, and fails on every field that their own types do
// not have, or have with another type. It knows the kinds that the chart renders for others' operators.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	strict "sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"Certificate":    func() any { return new(certmanager.Certificate) },
	"HTTPRoute":      func() any { return new(gateway.HTTPRoute) },
	"PodMonitor":     func() any { return new(monitoring.PodMonitor) },
	"PrometheusRule": func() any { return new(monitoring.PrometheusRule) },
}

func main() {
	count, err := decodeAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(count)
}

func decodeAll(input io.Reader) (int, error) {
	documents := yaml.NewYAMLReader(bufio.NewReader(input))
	for count := 0; ; count++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		if err := decode(document); err != nil {
			return count, err
		}
	}
}

func decode(document []byte) error {
	var head struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := strict.Unmarshal(document, &head); err != nil {
		return err
	}
	build, known := kinds[head.Kind]
	if !known {
		return fmt.Errorf("%s %s: not a kind that is known here", head.Kind, head.Metadata.Name)
	}
	if err := strict.UnmarshalStrict(document, build()); err != nil {
		return fmt.Errorf("%s %s: %w", head.Kind, head.Metadata.Name, err)
	}
	return nil
}
