{{/*
What is seen from outside: the sections http, metrics and audit of the agent's configuration, and the files that they name.
*/}}

{{- define "mainstay.http.secretName" -}}
{{ .Values.mainstay.http.existingSecret | default (printf "%s-http" (include "mainstay.fullname" .)) }}
{{- end -}}

{{/* The section http. JSON. */}}
{{- define "mainstay.http.config" -}}
{{- $h := .Values.mainstay.http -}}
{{- $out := dict "patroni" $h.patroni "patroni_metrics" .Values.mainstay.metrics.patroni "tls" $h.tls -}}
{{- if $h.user }}{{- $_ := set $out "user" $h.user -}}{{- $_ := set $out "password_file" "/etc/mainstay/http/password" -}}{{- end -}}
{{- if and $h.existingSecret (not $h.user) }}{{- fail "mainstay.http.existingSecret is of nobody: set mainstay.http.user as well" -}}{{- end -}}
{{- with $h.allow }}{{- $_ := set $out "allow" . -}}{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* The section metrics. JSON. */}}
{{- define "mainstay.metrics.config" -}}
{{- $m := .Values.mainstay.metrics -}}
{{- if and $m.existingQueries $m.queries }}{{- fail "mainstay.metrics: queries and existingQueries exclude each other: choose one" -}}{{- end -}}
{{- $out := dict "max_samples" (int $m.maxSamples) "max_family_samples" (int $m.maxFamilySamples) -}}
{{- if $m.existingQueries }}{{- $_ := set $out "queries" (printf "/etc/mainstay/queries/%s" $m.queriesKey) -}}
{{- else if $m.queries }}{{- $_ := set $out "queries" "/etc/mainstay/config/queries.yaml" -}}{{- end -}}
{{- range $name, $key := dict "collect" "collect" "omit" "omit" "databases" "databases" "queries_prefix" "queriesPrefix" "slow_interval" "slowInterval" "query_timeout" "queryTimeout" -}}
{{- with get $m $key }}{{- $_ := set $out $name . -}}{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* The section audit. JSON. */}}
{{- define "mainstay.audit.config" -}}
{{- $a := .Values.mainstay.audit -}}
{{- toJson (dict "enabled" $a.enabled "probes" $a.probes "database_log" $a.databaseLog "database_log_level" $a.databaseLogLevel "database_log_rate" (int $a.databaseLogRate) "database_log_burst" (int $a.databaseLogBurst)) -}}
{{- end -}}

{{/* More entries of the ConfigMap with the agent's configuration. */}}
{{- define "mainstay.faces.files" -}}
{{- with .Values.mainstay.metrics.queries }}
queries.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Mounts of the agent's container. */}}
{{- define "mainstay.faces.mounts" -}}
{{- if .Values.mainstay.http.user }}
- {name: mainstay-http, mountPath: /etc/mainstay/http, readOnly: true}
{{- end }}
{{- if .Values.mainstay.metrics.existingQueries }}
- {name: mainstay-queries, mountPath: /etc/mainstay/queries, readOnly: true}
{{- end }}
{{- end -}}

{{- define "mainstay.faces.volumes" -}}
{{- $m := .Values.mainstay.metrics -}}
{{- if .Values.mainstay.http.user }}
- name: mainstay-http
  secret: {secretName: {{ include "mainstay.http.secretName" . }}, defaultMode: 0440, items: [{key: {{ .Values.mainstay.http.existingSecret | empty | ternary "password" .Values.mainstay.http.existingSecretKey }}, path: password}]}
{{- end }}
{{- if $m.existingQueries }}
- name: mainstay-queries
  configMap: {name: {{ $m.existingQueries }}, defaultMode: 0440, items: [{key: {{ $m.queriesKey }}, path: {{ $m.queriesKey }}}]}
{{- end }}
{{- end -}}

{{/* The password of http.user, generated once: an upgrade finds what is in the cluster. A renderer without a cluster (GitOps) would
make a new one each time: use http.existingSecret there. */}}
{{- define "mainstay.http.secret" -}}
{{- $h := .Values.mainstay.http -}}
{{- if and $h.user (not $h.existingSecret) -}}
{{- $name := include "mainstay.http.secretName" . -}}
{{- $have := (lookup "v1" "Secret" .Release.Namespace $name).data | default dict -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "mainstay.metadata" (dict "root" . "name" $name) | nindent 2 }}
type: kubernetes.io/basic-auth
data:
  username: {{ b64enc $h.user }}
  password: {{ index $have "password" | default (randAlphaNum 32 | b64enc) }}
{{- end -}}
{{- end -}}
