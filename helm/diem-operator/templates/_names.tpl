{{/* What things are called, and the labels they bear. */}}

{{- define "diem-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the release's objects; no dots, because a Service's name has none. */}}
{{- define "diem-operator.fullname" -}}
{{- $name := include "diem-operator.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | replace "." "-" | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "diem-operator.apiName" -}}
{{- include "diem-operator.fullname" . -}}-api
{{- end -}}

{{/*
The name of what lies outside the release's namespace. No other release has it: the namespace is behind the last dot,
and namespaces have no dots.
Takes: root, name.
*/}}
{{- define "diem-operator.outerName" -}}
{{- printf "%s.%s" .name .root.Release.Namespace -}}
{{- end -}}

{{- define "diem-operator.serviceAccountName" -}}
{{- .Values.operator.serviceAccount.name | default (include "diem-operator.fullname" .) -}}
{{- end -}}

{{- define "diem-operator.apiServiceAccountName" -}}
{{- .Values.api.serviceAccount.name | default (include "diem-operator.apiName" .) -}}
{{- end -}}

{{- define "diem-operator.signingSecretName" -}}
{{- .Values.keys.signingSecret.existingSecret | default (printf "%s-signing" (include "diem-operator.fullname" .)) -}}
{{- end -}}

{{/* The component whose pods have the API's container. */}}
{{- define "diem-operator.apiComponent" -}}
{{- ternary "operator" "api" (eq .Values.api.mode "sidecar") -}}
{{- end -}}

{{- define "diem-operator.image" -}}
{{- $repository := list .Values.image.registry .Values.image.repository | compact | join "/" -}}
{{- if .Values.image.digest -}}
{{- printf "%s%s@%s" $repository (ternary (printf ":%s" .Values.image.tag) "" (ne .Values.image.tag "")) .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The port of the Service. */}}
{{- define "diem-operator.servicePort" -}}
{{- .Values.service.port | default (ternary 443 80 (ne .Values.api.tls.secretName "")) | int -}}
{{- end -}}

{{- define "diem-operator.scheme" -}}
{{- ternary "https" "http" (ne .Values.api.tls.secretName "") -}}
{{- end -}}

{{/* Labels of objects that belong to no component. */}}
{{- define "diem-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "diem-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/part-of: diem
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes: root, component. */}}
{{- define "diem-operator.componentLabels" -}}
{{ include "diem-operator.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* What selectors use, and never more, because a Deployment's cannot be changed. Takes: root, component. */}}
{{- define "diem-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "diem-operator.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of pods: without the chart's version, so that a new chart alone replaces no pod. Takes: root, component, extra. */}}
{{- define "diem-operator.podLabels" -}}
{{ include "diem-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/part-of: diem
{{- with merge (dict) (.extra | default dict) .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
