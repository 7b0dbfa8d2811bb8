{{/* What `helm test` makes and uses. */}}

{{- define "diem-operator.testName" -}}
{{- include "diem-operator.fullname" . -}}-test
{{- end -}}

{{/* Whether the test makes the namespace of its DiemJobs, and deletes it: never one that somebody named. */}}
{{- define "diem-operator.testMakesNamespace" -}}
{{- if not (or .Values.tests.namespace .Values.watchNamespaces) -}}true{{- end -}}
{{- end -}}

{{- define "diem-operator.testNamespace" -}}
{{- if .Values.tests.namespace -}}
{{- .Values.tests.namespace -}}
{{- else if .Values.watchNamespaces -}}
{{- first .Values.watchNamespaces -}}
{{- else -}}
{{- .Release.Namespace | trunc 53 | trimSuffix "-" -}}-helm-test
{{- end -}}
{{- end -}}

{{/*
Deleted before it is made again, and once every step has succeeded. Of a failed test the pod stays, and its log.
Takes: weight.
*/}}
{{- define "diem-operator.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* The DiemJob's container runs our own image, which is known to be there. Takes: root, name, code, deadline. */}}
{{- define "diem-operator.testDiemJob" -}}
apiVersion: diem.io/v1
kind: DiemJob
metadata:
  name: {{ .name }}
  namespace: {{ include "diem-operator.testNamespace" .root }}
  labels:
    {{- include "diem-operator.componentLabels" (dict "root" .root "component" "test") | nindent 4 }}
spec:
  parameters:
    - {name: WORD, default: ready, maxLength: 100, description: What to say.}
  jobTemplate:
    spec:
      backoffLimit: 0
      activeDeadlineSeconds: {{ .deadline }}
      template:
        metadata:
          labels:
            {{- include "diem-operator.podLabels" (dict "root" .root "component" "test") | nindent 12 }}
          {{- with .root.Values.tests.podAnnotations }}
          annotations:
            {{- toYaml . | nindent 12 }}
          {{- end }}
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 5
          automountServiceAccountToken: false
          {{- include "diem-operator.testPlacement" .root | nindent 10 }}
          containers:
            - name: main
              {{- include "diem-operator.testContainer" .root | nindent 14 }}
              command: [/opt/diem/bin/python, -c]
              args: [{{ toJson .code }}]
{{- end -}}

{{/* Fields that the test's own pod and the pods of its DiemJobs share. */}}
{{- define "diem-operator.testPlacement" -}}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "diem-operator.testContainer" -}}
image: {{ include "diem-operator.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .Values.tests.resources | nindent 2 }}
{{- end -}}
