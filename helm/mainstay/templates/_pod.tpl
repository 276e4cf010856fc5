{{/*
What a pod's spec needs beside its containers, and the objects about pods: budget, monitor.
Top-level values read: uid, gid, imagePullSecrets, nodeSelector, tolerations, nodeLossTolerationSeconds, affinity, podAntiAffinity,
topologySpreadConstraints, priorityClassName, schedulerName, runtimeClassName, hostUsers, podDisruptionBudget.
*/}}

{{- define "mainstay.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ int .Values.uid }}
runAsGroup: {{ int .Values.gid }}
fsGroup: {{ int .Values.gid }}
# Not at every mount: the recursive change would also open the data directory to the group, which PostgreSQL refuses.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Everything of a pod's spec that is the same for all engines. */}}
{{- define "mainstay.podSpec" -}}
serviceAccountName: {{ include "mainstay.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
shareProcessNamespace: false
terminationGracePeriodSeconds: {{ include "mainstay.gracePeriod" . }}
securityContext:
  {{- include "mainstay.podSecurityContext" . | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "priorityClassName" "schedulerName" "runtimeClassName" }}
{{- with get $.Values $key }}
{{ $key }}: {{ . }}
{{- end }}
{{- end }}
{{- if not (kindIs "invalid" .Values.hostUsers) }}
hostUsers: {{ .Values.hostUsers }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "mainstay.tolerations" . | fromYamlArray }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "mainstay.affinity" . | fromYaml }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml (merge (dict) . (dict "labelSelector" (dict "matchLabels" (include "mainstay.selectorLabels" $ | fromYaml)))) | indent 4 | trim }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "mainstay.tolerations" -}}
{{- $out := .Values.tolerations | default list -}}
{{- if not (kindIs "invalid" .Values.nodeLossTolerationSeconds) -}}
{{- range $key := list "node.kubernetes.io/not-ready" "node.kubernetes.io/unreachable" -}}
{{- $out = append $out (dict "key" $key "operator" "Exists" "effect" "NoExecute" "tolerationSeconds" (int $.Values.nodeLossTolerationSeconds)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $out -}}
{{- end -}}

{{/* The user's own affinity; its podAntiAffinity wins over the preset. */}}
{{- define "mainstay.affinity" -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "mainstay.selectorLabels" . | fromYaml)) -}}
{{- $preset := dict -}}
{{- if eq .Values.podAntiAffinity "soft" -}}
{{- $preset = dict "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term))) -}}
{{- else if eq .Values.podAntiAffinity "hard" -}}
{{- $preset = dict "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) -}}
{{- end -}}
{{- $own := .Values.affinity | default dict -}}
{{- toYaml (ternary $own (merge (dict) $own $preset) (hasKey $own "podAntiAffinity")) -}}
{{- end -}}

{{- define "mainstay.podDisruptionBudget" -}}
{{- if .Values.podDisruptionBudget.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "mainstay.metadata" (dict "root" . "name" (include "mainstay.fullname" .)) | nindent 2 }}
spec:
  maxUnavailable: {{ .Values.podDisruptionBudget.maxUnavailable }}
  # A member that does not get ready must not block the drain of its node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "mainstay.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{- define "mainstay.podMonitor" -}}
{{- $m := .Values.mainstay.podMonitor -}}
{{- if $m.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "mainstay.metadata" (dict "root" . "name" (include "mainstay.fullname" .) "labels" $m.labels) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "mainstay.selectorLabels" . | nindent 6 }}
  podTargetLabels: [mainstay.io/cluster]
  {{- with $m.sampleLimit }}
  sampleLimit: {{ int . }}
  {{- end }}
  podMetricsEndpoints:
    - port: http-mainstay
      path: /metrics
      interval: {{ $m.interval }}
      scrapeTimeout: {{ $m.scrapeTimeout }}
      {{- with $m.relabelings }}
      relabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $m.metricRelabelings }}
      metricRelabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
{{- end -}}
