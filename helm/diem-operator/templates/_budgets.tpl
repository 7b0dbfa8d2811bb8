{{/* A PodDisruptionBudget. Takes: root, component, name, settings (`operator` or `api.deployment` of the values). */}}
{{- define "diem-operator.podDisruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "diem-operator.componentLabels" . | nindent 4 }}
spec:
  {{- with .settings.podDisruptionBudget }}
  {{- if kindIs "invalid" .minAvailable }}
  maxUnavailable: {{ .maxUnavailable }}
  {{- else }}
  minAvailable: {{ .minAvailable }}
  {{- end }}
  {{- end }}
  unhealthyPodEvictionPolicy: AlwaysAllow # a pod that does not work blocks no drain
  selector:
    matchLabels:
      {{- include "diem-operator.selectorLabels" . | nindent 6 }}
{{- end -}}
