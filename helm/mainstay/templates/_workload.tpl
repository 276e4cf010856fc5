{{/*
The StatefulSet and the agents' ConfigMap, as far as they are the same for every engine.
Top-level values read: instances, minReadySeconds, revisionHistoryLimit, updateStrategy, persistence, podLabels, podAnnotations, extraDeploy.
*/}}

{{/* The agents' configuration. Dict: root, engine, config (the engine's part), files (more entries, optional: name -> text). */}}
{{- define "mainstay.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "mainstay.metadata" (dict "root" .root "name" (include "mainstay.configName" .root)) | nindent 2 }}
data:
  # Read by the agents, and read again when it changes.
  mainstay.yaml: |
    {{- include "mainstay.agent.config" . | nindent 4 }}
  {{- with include "mainstay.faces.files" .root }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- range $name, $text := .files }}
  {{ $name }}: |
    {{- $text | trim | nindent 4 }}
  {{- end }}
{{- end -}}

{{/*
What a running member cannot take over: a change of it restarts the pods. Dict: root, engine, config, section (the engine's in config),
restartParameters (names between blanks), reloadable (list: what else of the section is reloaded).
*/}}
{{- define "mainstay.restartConfig" -}}
{{- $config := include "mainstay.agent.config" . | fromYaml -}}
{{- $own := get $config .section -}}
{{- $fixed := dict -}}
{{- range $name, $value := $own.parameters -}}
{{- if contains (printf " %s " (lower $name)) $.restartParameters }}{{- $_ := set $fixed $name $value -}}{{- end -}}
{{- end -}}
{{- range .reloadable }}{{- $own = omit $own . -}}{{- end -}}
{{- $own = omit $own "parameters" -}}
{{- $rest := omit $config .section "members" "tags" "probe" "durability" "log" "audit" "http" "metrics" -}}
{{- $rest = merge (dict "log" $config.log.format "audit" (pick $config.audit "enabled" "database_log") "http" $config.http.tls) $rest -}}
{{- toJson (merge (dict .section (merge (dict "parameters" $fixed) $own)) $rest) -}}
{{- end -}}

{{/* A number without an exponent (Helm reads 100000000 as a float), anything else as text. */}}
{{- define "mainstay.plain" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/*
The StatefulSet. Dict: root, container (the database's, for kubectl exec), restartConfig (text), pod (text: initContainers, containers and
volumes of the spec; without persistence with a volume `data` of its own).
*/}}
{{- define "mainstay.statefulSet" -}}
{{- $root := .root -}}
{{- $p := .root.Values.persistence -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "mainstay.metadata" (dict "root" .root "name" (include "mainstay.fullname" .root)) | nindent 2 }}
spec:
  replicas: {{ int .root.Values.instances }}
  serviceName: {{ include "mainstay.headlessName" .root }}
  # All at once: which member has the newest data is found out by the agents, not by ordinals.
  podManagementPolicy: Parallel
  minReadySeconds: {{ int .root.Values.minReadySeconds }}
  revisionHistoryLimit: {{ int .root.Values.revisionHistoryLimit }}
  updateStrategy:
    type: {{ .root.Values.updateStrategy.type }}
    {{- if eq .root.Values.updateStrategy.type "RollingUpdate" }}
    rollingUpdate: {partition: {{ int .root.Values.updateStrategy.partition }}}
    {{- end }}
  {{- if ne (toString $p.enabled) "false" }}
  persistentVolumeClaimRetentionPolicy:
    whenDeleted: {{ $p.whenDeleted }}
    whenScaled: {{ $p.whenScaled }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "mainstay.selectorLabels" .root | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "mainstay.selectorLabels" .root | nindent 8 }}
        {{- with .root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: {{ .container }}
        # Only what no running member can take over; the rest is reloaded.
        mainstay.io/restart-config: {{ .restartConfig | sha256sum }}
        {{- with .root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "mainstay.podSpec" .root | nindent 6 }}
      {{- .pod | trim | nindent 6 }}
  {{- if ne (toString $p.enabled) "false" }}
  volumeClaimTemplates:
    - apiVersion: v1
      kind: PersistentVolumeClaim
      metadata:
        name: data
        labels:
          {{- include "mainstay.selectorLabels" .root | nindent 10 }}
        {{- with $p.annotations }}
        annotations:
          {{- toYaml . | nindent 10 }}
        {{- end }}
      spec:
        accessModes:
          {{- toYaml $p.accessModes | nindent 10 }}
        {{- with $p.storageClass }}
        storageClassName: {{ . | quote }}
        {{- end }}
        resources:
          requests: {storage: {{ $p.size | quote }}}
  {{- end }}
{{- end -}}

{{- define "mainstay.extraDeploy" -}}
{{- range .Values.extraDeploy }}
---
{{ if kindIs "string" . }}{{ tpl . $ }}{{ else }}{{ tpl (toYaml .) $ }}{{ end }}
{{- end }}
{{- end -}}
