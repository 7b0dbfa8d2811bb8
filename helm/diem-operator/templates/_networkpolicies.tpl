{{/* A NetworkPolicy for the pods of a component. Takes: root, component, name, hasOperator, hasApi. */}}
{{- define "diem-operator.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "diem-operator.componentLabels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "diem-operator.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- if .hasApi }}
    - ports:
        - port: {{ .root.Values.api.port | int }}
          protocol: TCP
      {{- with $policy.api.from }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    - ports:
        {{- if .hasOperator }}
        - port: {{ .root.Values.operator.probePort | int }}
          protocol: TCP
        {{- end }}
        {{- if .hasApi }}
        - port: {{ .root.Values.api.probePort | int }}
          protocol: TCP
        {{- end }}
      {{- with $policy.probes.from }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- with $policy.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  egress:
    - ports: # the address of the API server comes from the environment, so no DNS is needed
        {{- range $policy.apiServer.ports }}
        - port: {{ . | int }}
          protocol: TCP
        {{- end }}
      {{- with $policy.apiServer.to }}
      to:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- with $policy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
