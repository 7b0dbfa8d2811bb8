{{/* The environment of the two containers: what `diem-operator operator --help` and `diem-operator api --help` name. */}}

{{/* What both must agree on. */}}
{{- define "diem-operator.sharedEnvironment" -}}
- name: DIEM_OPERATOR_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with .Values.watchNamespaces }}
- name: DIEM_NAMESPACES
  value: {{ join " " . | quote }}
{{- end }}
- name: DIEM_SERVE_OWN_NAMESPACE
  value: {{ .Values.operator.serveOwnNamespace | quote }}
- name: DIEM_KEY_MAX_DAYS
  value: {{ .Values.keys.maxDays | int | quote }}
- name: DIEM_TENANTS
  value: {{ .Values.keys.tenants | toJson | quote }}
- name: DIEM_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
- name: DIEM_LOG_LEVEL
  value: {{ .Values.log.level | quote }}
{{- end -}}

{{- define "diem-operator.operatorEnvironment" -}}
{{ include "diem-operator.sharedEnvironment" . }}
- name: DIEM_LEASE_NAME
  value: {{ include "diem-operator.fullname" . }}
- name: DIEM_LEASE_DURATION
  value: {{ .Values.operator.lease.durationSeconds | int | quote }}
- name: DIEM_LEASE_RENEW
  value: {{ .Values.operator.lease.renewSeconds | quote }}
- name: DIEM_LEASE_POLL
  value: {{ .Values.operator.lease.pollSeconds | quote }}
- name: DIEM_WORKERS
  value: {{ .Values.operator.workers | int | quote }}
- name: DIEM_RESYNC
  value: {{ .Values.operator.resyncSeconds | quote }}
- name: DIEM_SIGNING_SECRET
  value: {{ include "diem-operator.signingSecretName" . }}
- name: DIEM_PROBE_PORT
  value: {{ .Values.operator.probePort | int | quote }}
{{- if eq .Values.api.mode "sidecar" }}
- name: DIEM_API_SERVICE_ACCOUNT
  value: {{ include "diem-operator.apiServiceAccountName" . }}
- name: DIEM_API_TOKEN_FILE
  value: {{ include "diem-operator.apiTokenFile" . }}
- name: DIEM_API_TOKEN_LIFETIME
  value: {{ .Values.api.tokenLifetimeSeconds | int | quote }}
{{- end }}
{{- end -}}

{{- define "diem-operator.apiEnvironment" -}}
{{ include "diem-operator.sharedEnvironment" . }}
- name: DIEM_API_PORT
  value: {{ .Values.api.port | int | quote }}
- name: DIEM_API_PROBE_PORT
  value: {{ .Values.api.probePort | int | quote }}
- name: DIEM_API_DRAIN
  value: {{ .Values.api.drainSeconds | quote }}
- name: DIEM_API_RESYNC
  value: {{ .Values.api.resyncSeconds | quote }}
- name: DIEM_MISSING_KEY_STATUS
  value: {{ .Values.api.missingKeyStatus | int | quote }}
{{- with .Values.api.limits }}
{{- with .failedKeys }}
- name: DIEM_API_FAILED_KEYS_RATE
  value: {{ .perSecond | quote }}
- name: DIEM_API_FAILED_KEYS_BURST
  value: {{ .burst | int | quote }}
{{- end }}
{{- with .keyRequests }}
- name: DIEM_API_KEY_RATE
  value: {{ .perSecond | quote }}
- name: DIEM_API_KEY_BURST
  value: {{ .burst | int | quote }}
{{- end }}
- name: DIEM_API_MAX_OPERATIONS
  value: {{ .operations | int | quote }}
- name: DIEM_API_MAX_QUEUED_OPERATIONS
  value: {{ .queuedOperations | int | quote }}
- name: DIEM_API_MAX_CONNECTIONS
  value: {{ .connections | int | quote }}
{{- end }}
{{- with .Values.api.trustedProxies }}
- name: DIEM_API_TRUSTED_PROXIES
  value: {{ join " " . | quote }}
{{- end }}
{{- if eq .Values.api.mode "sidecar" }}
- name: DIEM_API_TOKEN_FILE
  value: {{ include "diem-operator.apiTokenFile" . }}
{{- end }}
{{- if .Values.api.tls.secretName }}
- name: DIEM_API_TLS_CERTIFICATE_FILE
  value: /var/run/diem/tls/tls.crt
- name: DIEM_API_TLS_KEY_FILE
  value: /var/run/diem/tls/tls.key
{{- end }}
{{- end -}}

{{/* Where the operator puts the API's token in a sidecar pod, and the API reads it. */}}
{{- define "diem-operator.apiTokenFile" -}}
/var/run/diem/api-token/token
{{- end -}}
