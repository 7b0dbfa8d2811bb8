{{/* What is allowed and risky, one line each; NOTES.txt shows them. */}}
{{- define "diem-operator.warnings" -}}
{{- $v := .Values -}}
{{- $found := list -}}
{{- if and (not $v.api.tls.secretName) (ne $v.service.type "ClusterIP") -}}
{{- $found = append $found (printf "service.type is %s without TLS: keys cross the network readable. Set api.tls.secretName." $v.service.type) -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.tls) -}}
{{- $found = append $found "ingress.tls is empty: unless the controller has a certificate of its own, keys cross the network readable." -}}
{{- end -}}
{{- if and $v.api.tls.secretName $v.ingress.enabled -}}
{{- $found = append $found "The API serves HTTPS: tell the Ingress controller so (for ingress-nginx, annotation nginx.ingress.kubernetes.io/backend-protocol: HTTPS)." -}}
{{- end -}}
{{- if and $v.api.tls.secretName $v.httpRoute.enabled -}}
{{- $found = append $found "The API serves HTTPS: the Gateway needs a BackendTLSPolicy for its Service." -}}
{{- end -}}
{{- if not $v.crds.enabled -}}
{{- $found = append $found "crds.enabled is false: nothing works until the CustomResourceDefinitions of this very release are applied." -}}
{{- else if not $v.crds.keep -}}
{{- $found = append $found "crds.keep is false: uninstalling deletes every DiemJob, with its Jobs, and every DiemApiKey of the cluster." -}}
{{- end -}}
{{- if not $v.admissionPolicy.enabled -}}
{{- $found = append $found "admissionPolicy.enabled is false: who steals the API's token can change what DiemJobs run." -}}
{{- end -}}
{{- if not $v.networkPolicy.enabled -}}
{{- $found = append $found "networkPolicy.enabled is false: every pod of the cluster reaches the probe ports, and the pods reach everything." -}}
{{- end -}}
{{- if $v.operator.serveOwnNamespace -}}
{{- $found = append $found (printf "operator.serveOwnNamespace is true: who may create a DiemJob in %s can use the operator's ServiceAccount." .Release.Namespace) -}}
{{- end -}}
{{- if not $v.rbac.create -}}
{{- $found = append $found "rbac.create is false: nothing works until both ServiceAccounts have been granted their rights." -}}
{{- end -}}
{{- if eq (int $v.operator.replicas) 1 -}}
{{- $found = append $found "operator.replicas is 1: nobody takes over while its node is down or drained." -}}
{{- end -}}
{{- if eq (int $v.keys.maxDays) 0 -}}
{{- $found = append $found "keys.maxDays is 0: keys without spec.expiresAt never end." -}}
{{- end -}}
{{- range $found }}
- {{ . }}
{{- end -}}
{{- end -}}
