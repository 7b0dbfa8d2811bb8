{{/* What the two processes may do. Every line is used; nothing is a wildcard. */}}

{{/* The operator, where it serves: it can create Secrets and read none, and change neither the API's rights nor its own. */}}
{{- define "diem-operator.operatorRules" -}}
- apiGroups: [diem.io]
  resources: [diemjobs]
  verbs: [get, list, watch, patch] # patch: due times of schedules, and the annotation that marks a lost status
- apiGroups: [diem.io]
  resources: [diemjobs/status]
  verbs: [patch]
- apiGroups: [diem.io]
  resources: [diemjobs/finalizers, diemapikeys/finalizers]
  verbs: [update] # where OwnerReferencesPermissionEnforcement is on: to own Jobs and Secrets that block deletion
- apiGroups: [diem.io]
  resources: [diemapikeys]
  verbs: [get, list, watch]
- apiGroups: [diem.io]
  resources: [diemapikeys/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list] # why a run's pod does not start
- apiGroups: [""]
  resources: [events]
  verbs: [create, list] # list: why a Job could not make its pod
- apiGroups: [""]
  resources: [secrets]
  verbs: [create] # the token of a DiemApiKey, in that key's namespace; never read back
{{- end -}}

{{/* The API, where it serves: it reads and asks for runs. It creates nothing, deletes nothing and sees no Job, pod or Secret. */}}
{{- define "diem-operator.apiRules" -}}
- apiGroups: [diem.io]
  resources: [diemjobs]
  verbs: [get, list, watch, patch]
- apiGroups: [diem.io]
  resources: [diemapikeys]
  verbs: [get, list, watch]
{{- end -}}

{{/*
The rules for one identity: in the whole cluster, or in each of watchNamespaces and nowhere else.
Takes: root, component, name, serviceAccountName, rules (as text).
*/}}
{{- define "diem-operator.grants" -}}
{{- $own := . -}}
{{- $isClusterWide := empty .root.Values.watchNamespaces -}}
{{- $prefix := ternary "Cluster" "" $isClusterWide -}}
{{- range $namespace := ternary (list "") .root.Values.watchNamespaces $isClusterWide }}
{{- range $kind := list "Role" "RoleBinding" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $prefix }}{{ $kind }}
metadata:
  name: {{ include "diem-operator.outerName" $own }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "diem-operator.componentLabels" $own | nindent 4 }}
{{- if eq $kind "Role" }}
rules:
  {{- $own.rules | nindent 2 }}
{{- else }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $prefix }}Role
  name: {{ include "diem-operator.outerName" $own }}
subjects:
  - kind: ServiceAccount
    name: {{ $own.serviceAccountName }}
    namespace: {{ $own.root.Release.Namespace }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
