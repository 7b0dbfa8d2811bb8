{{/*
Values that contradict each other, which a schema cannot say. Each entry says what is wrong and what to do; all of them
are told at once.
*/}}
{{- define "diem-operator.contradictions" -}}
{{- $v := .Values -}}
{{- $found := list -}}
{{- $fullname := include "diem-operator.fullname" . -}}

{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $fullname) -}}
{{- $found = append $found (printf "%q is no name for a Service, which begins with a letter: choose another release name, or set fullnameOverride" $fullname) -}}
{{- end -}}

{{- if and (has .Release.Namespace $v.watchNamespaces) (not $v.operator.serveOwnNamespace) -}}
{{- $found = append $found (printf "watchNamespaces has the release's own namespace %s, where a Job could use the operator's ServiceAccount: leave it out, or set operator.serveOwnNamespace" .Release.Namespace) -}}
{{- end -}}

{{- if gt (mulf $v.operator.lease.renewSeconds 2) (float64 $v.operator.lease.durationSeconds) -}}
{{- $found = append $found "operator.lease.renewSeconds is more than half of operator.lease.durationSeconds, so one failed renewal would lose the lease: lower the first or raise the second" -}}
{{- end -}}

{{- range $process, $account := dict "operator" $v.operator.serviceAccount "api" $v.api.serviceAccount -}}
{{- if not (or $account.create $account.name) -}}
{{- $found = append $found (printf "%s.serviceAccount.create is false, so %s.serviceAccount.name must say which ServiceAccount to use" $process $process) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "diem-operator.serviceAccountName" .) (include "diem-operator.apiServiceAccountName" .) -}}
{{- $found = append $found "operator.serviceAccount.name and api.serviceAccount.name are the same, which would give the API the operator's rights: name two ServiceAccounts" -}}
{{- end -}}

{{- $ports := list (int $v.api.port) (int $v.api.probePort) -}}
{{- if eq $v.api.mode "sidecar" -}}
{{- $ports = append $ports (int $v.operator.probePort) -}}
{{- end -}}
{{- if ne (len $ports) (len (uniq $ports)) -}}
{{- $found = append $found "api.port, api.probePort and operator.probePort are ports of one pod: give each its own" -}}
{{- end -}}

{{- if and $v.api.deployment.autoscaling.enabled (eq $v.api.mode "sidecar") -}}
{{- $found = append $found "api.deployment.autoscaling.enabled needs api.mode=deployment: a sidecar has as many replicas as the operator" -}}
{{- end -}}
{{- with $v.api.deployment.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- $found = append $found "api.deployment.autoscaling.minReplicas is more than maxReplicas: lower the first or raise the second" -}}
{{- end -}}
{{- if and .enabled (not (or .targetCPUUtilizationPercentage .targetMemoryUtilizationPercentage .metrics)) -}}
{{- $found = append $found "api.deployment.autoscaling.enabled needs something to scale by: set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or metrics" -}}
{{- end -}}
{{- range $resource, $target := dict "cpu" .targetCPUUtilizationPercentage "memory" .targetMemoryUtilizationPercentage -}}
{{- if and $v.api.deployment.autoscaling.enabled $target (not (dig "requests" $resource "" $v.api.resources)) -}}
{{- $found = append $found (printf "api.deployment.autoscaling scales by %s in percent of what is requested: set api.resources.requests.%s" $resource $resource) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- range $path, $settings := dict "operator" $v.operator "api.deployment" $v.api.deployment -}}
{{- $budget := $settings.podDisruptionBudget -}}
{{- if and $budget.enabled (eq (kindIs "invalid" $budget.minAvailable) (kindIs "invalid" $budget.maxUnavailable)) -}}
{{- $found = append $found (printf "%s.podDisruptionBudget needs one of minAvailable and maxUnavailable: set the other to null" $path) -}}
{{- end -}}
{{- end -}}

{{- $needed := include "diem-operator.neededGraceSeconds" . | int -}}
{{- range $path, $settings := dict "operator" $v.operator "api.deployment" $v.api.deployment -}}
{{- $given := $settings.terminationGracePeriodSeconds -}}
{{- $hasApi := eq $path (ternary "operator" "api.deployment" (eq $v.api.mode "sidecar")) -}}
{{- if and $hasApi (not (kindIs "invalid" $given)) (lt (int $given) $needed) -}}
{{- $found = append $found (printf "%s.terminationGracePeriodSeconds is less than the %d seconds that the API needs to drain (api.drainSeconds and 10 for requests in flight): raise it, or leave it null" $path $needed) -}}
{{- end -}}
{{- end -}}

{{- if and $v.api.tls.certificate.enabled (not $v.api.tls.secretName) -}}
{{- $found = append $found "api.tls.certificate.enabled needs api.tls.secretName: name the Secret that cert-manager is to write" -}}
{{- end -}}
{{- if and $v.api.tls.certificate.enabled (not (get $v.api.tls.certificate.issuerRef "name")) -}}
{{- $found = append $found "api.tls.certificate.enabled needs api.tls.certificate.issuerRef.name: name an Issuer, or a ClusterIssuer with its kind" -}}
{{- end -}}

{{- with $v.service -}}
{{- if and .nodePort (eq .type "ClusterIP") -}}
{{- $found = append $found "service.nodePort needs service.type NodePort or LoadBalancer" -}}
{{- end -}}
{{- if and .externalTrafficPolicy (eq .type "ClusterIP") -}}
{{- $found = append $found "service.externalTrafficPolicy needs service.type NodePort or LoadBalancer" -}}
{{- end -}}
{{- if and (or .loadBalancerClass .loadBalancerSourceRanges) (ne .type "LoadBalancer") -}}
{{- $found = append $found "service.loadBalancerClass and service.loadBalancerSourceRanges need service.type LoadBalancer" -}}
{{- end -}}
{{- if and (eq .clusterIP "None") (ne .type "ClusterIP") -}}
{{- $found = append $found (printf "service.clusterIP None needs service.type ClusterIP: a Service of type %s has an address" .type) -}}
{{- end -}}
{{- end -}}

{{- if and $v.ingress.enabled (not $v.ingress.hosts) -}}
{{- $found = append $found "ingress.enabled needs ingress.hosts: name at least one host" -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
{{- $found = append $found "httpRoute.enabled needs httpRoute.parentRefs: name at least one Gateway" -}}
{{- end -}}

{{- with $v.tests.namespace -}}
{{- if and (eq . $.Release.Namespace) (not $v.operator.serveOwnNamespace) -}}
{{- $found = append $found "tests.namespace is the release's own namespace, which is not served: name another, or leave it empty" -}}
{{- else if and $v.watchNamespaces (not (has . $v.watchNamespaces)) -}}
{{- $found = append $found (printf "tests.namespace %s is not in watchNamespaces, so nothing would start there: add it, or name one of them" .) -}}
{{- end -}}
{{- end -}}

{{- range $process, $environment := dict "operator" (include "diem-operator.operatorEnvironment" .) "api" (include "diem-operator.apiEnvironment" .) -}}
{{- $taken := list -}}
{{- range fromYamlArray $environment }}{{ $taken = append $taken .name }}{{ end -}}
{{- range (get $v $process).extraEnv -}}
{{- if has .name $taken -}}
{{- $found = append $found (printf "%s.extraEnv has %s, which is set already: use the value of the chart that sets it, and name each variable once" $process .name) -}}
{{- end -}}
{{- $taken = append $taken .name -}}
{{- end -}}
{{- end -}}

{{- join "\n" $found -}}
{{- end -}}
