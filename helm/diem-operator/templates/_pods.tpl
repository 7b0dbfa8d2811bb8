{{/* What pods are made of. Both Deployments are put together from these parts. */}}

{{/*
The fields of a pod that are no container and no volume.
Takes: root, component, settings (`operator` or `api.deployment` of the values), serviceAccountName.
*/}}
{{- define "diem-operator.podSettings" -}}
serviceAccountName: {{ .serviceAccountName }}
automountServiceAccountToken: false # each container mounts what it may have
enableServiceLinks: false # the variables of a Service named diem would read like ours
terminationGracePeriodSeconds: {{ include "diem-operator.gracePeriodSeconds" . }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .settings.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $selector := dict "matchLabels" (include "diem-operator.selectorLabels" . | fromYaml) }}
  {{- range .settings.topologySpreadConstraints }}
  - {{ ternary . (merge (dict "labelSelector" $selector) .) (hasKey . "labelSelector") | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- with .settings.extraPodSpec }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Time for a pod to end. The API serves on while it drains, then gives requests in flight 10 seconds. */}}
{{- define "diem-operator.gracePeriodSeconds" -}}
{{- $needed := include "diem-operator.neededGraceSeconds" .root | int -}}
{{- if kindIs "invalid" .settings.terminationGracePeriodSeconds -}}
{{- add $needed 8 -}}
{{- else -}}
{{- .settings.terminationGracePeriodSeconds | int -}}
{{- end -}}
{{- end -}}

{{- define "diem-operator.neededGraceSeconds" -}}
{{- add (ceil .Values.api.drainSeconds) 10 -}}
{{- end -}}

{{- define "diem-operator.operatorContainer" -}}
name: operator
{{ include "diem-operator.containerSettings" (dict "root" . "command" "operator" "resources" .Values.operator.resources "probePort" "operator-probes") }}
ports:
  - name: operator-probes
    containerPort: {{ .Values.operator.probePort | int }}
    protocol: TCP
env:
  {{- include "diem-operator.operatorEnvironment" . | nindent 2 }}
  {{- with .Values.operator.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - name: operator-identity
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- if eq .Values.api.mode "sidecar" }}
  - name: api-token
    mountPath: {{ dir (include "diem-operator.apiTokenFile" .) }}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "diem-operator.apiContainer" -}}
name: api
{{ include "diem-operator.containerSettings" (dict "root" . "command" "api" "resources" .Values.api.resources "probePort" "api-probes") }}
ports:
  - name: api
    containerPort: {{ .Values.api.port | int }}
    protocol: TCP
  - name: api-probes
    containerPort: {{ .Values.api.probePort | int }}
    protocol: TCP
env:
  {{- include "diem-operator.apiEnvironment" . | nindent 2 }}
  {{- with .Values.api.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - name: api-identity
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- if eq .Values.api.mode "sidecar" }}
  - name: api-token
    mountPath: {{ dir (include "diem-operator.apiTokenFile" .) }}
    readOnly: true
  {{- end }}
  {{- if .Values.api.tls.secretName }}
  - name: api-tls
    mountPath: /var/run/diem/tls
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Takes: root, command, resources, probePort. */}}
{{- define "diem-operator.containerSettings" -}}
image: {{ include "diem-operator.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .command }}]
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .resources | nindent 2 }}
{{- /* Starting up means that the process answers; what it waits for, such as the CRDs, is no reason to restart it. */}}
startupProbe:
  {{- include "diem-operator.probe" (dict "path" "/healthz" "port" .probePort "timing" .root.Values.probes.startup) | nindent 2 }}
readinessProbe:
  {{- include "diem-operator.probe" (dict "path" "/readyz" "port" .probePort "timing" .root.Values.probes.readiness) | nindent 2 }}
livenessProbe:
  {{- include "diem-operator.probe" (dict "path" "/healthz" "port" .probePort "timing" .root.Values.probes.liveness) | nindent 2 }}
{{- end -}}

{{/* Takes: path, port, timing. */}}
{{- define "diem-operator.probe" -}}
httpGet:
  path: {{ .path }}
  port: {{ .port }}
{{ toYaml .timing }}
{{- end -}}

{{/* The usual volume of a ServiceAccount. Takes: name, hasToken. */}}
{{- define "diem-operator.identityVolume" -}}
name: {{ .name }}
projected:
  sources:
    {{- if .hasToken }}
    - serviceAccountToken:
        path: token
        expirationSeconds: 3600
    {{- end }}
    - configMap:
        name: kube-root-ca.crt
        items:
          - key: ca.crt
            path: ca.crt
    - downwardAPI:
        items:
          - path: namespace
            fieldRef:
              fieldPath: metadata.namespace
{{- end -}}

{{- define "diem-operator.tlsVolume" -}}
name: api-tls
secret:
  secretName: {{ .Values.api.tls.secretName }}
  defaultMode: 0440 # the pod's fsGroup may read the key, others may not
  items:
    - key: tls.crt
      path: tls.crt
    - key: tls.key
      path: tls.key
{{- end -}}
