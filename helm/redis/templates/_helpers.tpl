{{- define "redis.dataMount" -}}/data{{- end -}}
{{/* A subdirectory of its volume: the agent's own files lie beside it. */}}
{{- define "redis.dataDir" -}}{{ include "redis.dataMount" . }}/redis{{- end -}}
{{- define "redis.image" -}}{{ include "mainstay.imageRef" (dict "image" .Values.image "default" "7.0") }}{{- end -}}
{{- define "redis.replicationSecret" -}}{{ .Values.redis.existingSecret | default (printf "%s-replication" (include "mainstay.fullname" .)) }}{{- end -}}
{{- define "redis.defaultRules" -}}~* &* +@all -@admin{{- end -}}

{{/* Users that are not null. JSON. */}}
{{- define "redis.users" -}}
{{- $out := dict -}}
{{- range $name, $u := .Values.redis.users }}{{- if not (kindIs "invalid" $u) }}{{- $_ := set $out $name $u -}}{{- end -}}{{- end -}}
{{- range $name, $u := $out }}
{{- if hasPrefix "mainstay-" $name }}{{- fail (printf "redis.users.%s: names that begin with mainstay- are Mainstay's own: choose another name" $name) -}}{{- end -}}
{{- if regexMatch "(^| )(nopass|resetpass|reset|on|off|passwords=.*)( |$)" ($u.rules | default "") }}{{- fail (printf "redis.users.%s.rules: passwords are told by existingSecret and password, a user that is off by leaving it out" $name) -}}{{- end -}}
{{- end -}}
{{- include "mainstay.checkUserSecrets" (dict "users" (include "redis.withPassword" $out | fromJson) "where" "redis.users") -}}
{{- toJson $out -}}
{{- end -}}

{{/* Those that have a password. Takes all of them. JSON. */}}
{{- define "redis.withPassword" -}}
{{- $out := dict -}}
{{- range $name, $u := . }}{{- if ne (toString (get $u "password")) "false" }}{{- $_ := set $out $name $u -}}{{- end -}}{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* The users' file: rules here, passwords in the files that it names. */}}
{{- define "redis.acl" -}}
# A line for each user. Nobody else may log in.
{{- range $name, $u := include "redis.users" . | fromJson }}
user {{ $name }} on {{ ternary "nopass" (printf "passwords=/etc/mainstay/users/%s" $name) (eq (toString (get $u "password")) "false") }} {{ $u.rules | default (include "redis.defaultRules" $) }}
{{- end }}
{{- end -}}

{{/* Parameters that redis-server takes from its file only (7.0; test/helm compares). One line of names between blanks. */}}
{{- define "redis.restartParameters" -}}
{{ " " }}always-show-logo aof_rewrite_cpulist appendfilename bgsave_cpulist bio_cpulist cluster-config-file cluster-port crash-memcheck-enabled databases disable-thp enable-module-command ignore-warnings io-threads io-threads-do-reads jemalloc-bg-thread loadmodule rdbchecksum server_cpulist set-proc-title socket-mark-id syslog-enabled syslog-facility syslog-ident tcp-backlog{{ " " }}
{{- end -}}

{{/* Parameters that Mainstay keeps for itself (test/helm compares with the agent's list). One line of names between blanks. */}}
{{- define "redis.keptParameters" -}}
{{ " " }}aclfile aof-timestamp-enabled appenddirname bind cluster-enabled daemonize dbfilename dir enable-debug-command enable-protected-configs include logfile masterauth masteruser min-replicas-to-write min-slaves-to-write pidfile port rename-command replica-announce-ip replica-announce-port replica-read-only replica-serve-stale-data replicaof requirepass shutdown-on-sigterm slave-announce-ip slave-announce-port slave-read-only slave-serve-stale-data slaveof supervised unixsocket unixsocketperm user{{ " " }}
{{- end -}}

{{/* The engine's part of the agent's configuration. */}}
{{- define "redis.agentConfig" -}}
{{- $r := .Values.redis -}}
{{- $parameters := dict -}}
{{- $default := get (include "redis.users" . | fromJson) "default" | default dict -}}
{{- if eq (toString (get $default "password")) "false" }}{{- $_ := set $parameters "protected-mode" "no" -}}{{- end -}}
{{- $kept := include "redis.keptParameters" . -}}
{{- range $name, $value := $r.parameters }}
{{- if contains (printf " %s " $name) $kept }}{{- fail (printf "redis.parameters.%s is kept by Mainstay (docs/REDIS.md, Settings, says why): remove it" $name) -}}{{- end -}}
{{- $_ := set $parameters $name (ternary (ternary "yes" "no" (eq (toString $value) "true")) (include "mainstay.plain" $value) (kindIs "bool" $value)) -}}{{- end -}}
{{- $out := dict
  "data_dir" (include "redis.dataDir" .)
  "bin_dir" .Values.image.binDir
  "socket" "/run/redis/redis.sock"
  "port" 6379
  "bind" "* -::*"
  "replication_password_file" "/etc/mainstay/passwords/replication"
  "users_file" "/etc/mainstay/config/users.acl"
  "min_replicas" (int $r.minReplicas)
  "parameters" $parameters
-}}
{{- with .Values.sentinel -}}
{{- if .enabled -}}
{{- $_ := set $out "sentinel_listen" (printf "%s:%d" (ternary "[::]" "0.0.0.0" (eq $.Values.ipFamily "IPv6")) (int .port)) -}}
{{- $_ := set $out "sentinel_names" .names -}}
{{- if .existingSecret }}{{- $_ := set $out "sentinel_password_file" "/etc/mainstay/sentinel/passwords" -}}{{- end -}}
{{- else if .existingSecret -}}
{{- fail "sentinel.existingSecret is of nobody: set sentinel.enabled as well" -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "redis" $out) -}}
{{- end -}}

{{- define "redis.restartConfig" -}}
{{- include "mainstay.restartConfig" (dict "root" . "engine" "redis" "section" "redis" "config" (include "redis.agentConfig" . | fromJson)
  "restartParameters" (include "redis.restartParameters" .)
  "reloadable" (list "min_replicas" "start_timeout" "stop_timeout" "sync_timeout")) -}}
{{- end -}}

{{/* The port for clients that know only Sentinel; empty when it is off. JSON. */}}
{{- define "redis.agentPort" -}}
{{- with .Values.sentinel }}{{ toJson (ternary (dict "name" "sentinel" "port" .port "service" .service) dict .enabled) }}{{ end -}}
{{- end -}}
