{{- define "postgresql.dataMount" -}}/var/lib/postgresql/data{{- end -}}
{{/* A subdirectory of its volume: it is swapped by rename when a member is cloned anew. */}}
{{- define "postgresql.dataDir" -}}{{ include "postgresql.dataMount" . }}/pgdata{{- end -}}
{{- define "postgresql.image" -}}{{ include "mainstay.imageRef" (dict "image" .Values.image "default" "15") }}{{- end -}}
{{- define "postgresql.passwordSecret" -}}{{ .Values.postgresql.existingSecret | default (printf "%s-passwords" (include "mainstay.fullname" .)) }}{{- end -}}

{{/* Roles as one map: those of users, and owners of databases that are not among them. JSON. */}}
{{- define "postgresql.users" -}}
{{- $p := .Values.postgresql -}}
{{- $out := dict -}}
{{- range $name, $u := $p.users }}{{- $_ := set $out $name ($u | default dict) -}}{{- end -}}
{{- range $db, $d := $p.databases -}}
{{- $owner := ($d | default dict).owner | default "" -}}
{{- if and $owner (not (hasKey $out $owner)) (ne $owner $p.superuser) }}{{- $_ := set $out $owner dict -}}{{- end -}}
{{- end -}}
{{- range $name := list $p.superuser $p.agentRole $p.replicationRole -}}
{{- if hasKey $out $name }}{{- fail (printf "postgresql.users.%s: the role is Mainstay's own: choose another name" $name) -}}{{- end -}}
{{- end -}}
{{- include "mainstay.checkUserSecrets" (dict "users" $out "where" "postgresql.users") -}}
{{- toJson $out -}}
{{- end -}}

{{/* Has this role a password? Dict of the user. */}}
{{- define "postgresql.hasPassword" -}}
{{- if not (or (eq (toString (get . "password")) "false") (has "nologin" (.options | default list))) }}yes{{ end -}}
{{- end -}}

{{/* The database that a role's connection details name: the first that it owns, else one of the same name, else postgres. */}}
{{- define "postgresql.databaseOf" -}}
{{- $found := "" -}}
{{- range $db := keys .root.Values.postgresql.databases | sortAlpha -}}
{{- if and (not $found) (eq ((get $.root.Values.postgresql.databases $db | default dict).owner | default "") $.name) }}{{- $found = $db -}}{{- end -}}
{{- end -}}
{{- $found | default (ternary .name "postgres" (hasKey .root.Values.postgresql.databases .name)) -}}
{{- end -}}

{{/* Parameters that only a restart of the server changes (PostgreSQL 13 to 18). One line of names between blanks. */}}
{{- define "postgresql.restartParameters" -}}
{{ " " }}archive_mode autovacuum_freeze_max_age autovacuum_max_workers autovacuum_multixact_freeze_max_age autovacuum_worker_slots bonjour bonjour_name cluster_name commit_timestamp_buffers data_sync_retry dynamic_shared_memory_type event_source huge_page_size huge_pages io_max_combine_limit io_max_concurrency io_method jit_provider logging_collector max_connections max_files_per_process max_locks_per_transaction max_logical_replication_workers max_notify_queue_pages max_pred_locks_per_transaction max_prepared_transactions max_replication_slots max_wal_senders max_worker_processes min_dynamic_shared_memory multixact_member_buffers multixact_offset_buffers notify_buffers old_snapshot_threshold pg_stat_statements.max reserved_connections serializable_buffers shared_buffers shared_memory_type shared_preload_libraries subtransaction_buffers superuser_reserved_connections track_activity_query_size track_commit_timestamp transaction_buffers wal_buffers wal_decode_buffer_size wal_level{{ " " }}
{{- end -}}

{{/* The engine's part of the agent's configuration. */}}
{{- define "postgresql.agentConfig" -}}
{{- $p := .Values.postgresql -}}
{{- $users := list -}}
{{- $all := include "postgresql.users" . | fromJson -}}
{{- range $name := keys $all | sortAlpha -}}
{{- $u := get $all $name -}}
{{- $one := dict "name" $name -}}
{{- range $option := $u.options | default list -}}
{{- if hasPrefix "no" $option }}{{- $_ := set $one (trimPrefix "no" $option) false -}}{{- else }}{{- $_ := set $one $option true -}}{{- end -}}
{{- end -}}
{{- with $u.memberOf }}{{- $_ := set $one "member_of" . -}}{{- end -}}
{{- if hasKey $u "connectionLimit" }}{{- $_ := set $one "connection_limit" (int $u.connectionLimit) -}}{{- end -}}
{{- if include "postgresql.hasPassword" $u }}{{- $_ := set $one "password_file" (printf "/etc/mainstay/users/%s" $name) -}}{{- end -}}
{{- $users = append $users $one -}}
{{- end -}}
{{- $databases := list -}}
{{- range $name := keys $p.databases | sortAlpha -}}
{{- $databases = append $databases (merge (dict "name" $name) (get $p.databases $name | default dict)) -}}
{{- end -}}
{{- $parameters := dict -}}
{{- if $p.serverTlsSecret -}}
{{- $parameters = dict "ssl" "on" "ssl_cert_file" "/etc/mainstay/server-tls/tls.crt" "ssl_key_file" "/etc/mainstay/server-tls/tls.key" -}}
{{- end -}}
{{- range $name, $value := $p.parameters }}{{- $_ := set $parameters $name (ternary (ternary "on" "off" (eq (toString $value) "true")) (include "mainstay.plain" $value) (kindIs "bool" $value)) -}}{{- end -}}
{{- $pg := dict
  "data_dir" (include "postgresql.dataDir" .)
  "bin_dir" .Values.image.binDir
  "socket_dir" "/var/run/postgresql"
  "listen_addresses" "*"
  "port" 5432
  "password_file" "/etc/mainstay/passwords/pgpass"
  "superuser" $p.superuser
  "agent_role" $p.agentRole
  "replication_role" $p.replicationRole
  "slot_wal_cap" $p.slotWalCap
  "clone_rate" $p.cloneRate
  "parameters" $parameters
  "hba" $p.hba
  "initdb" $p.initdb
  "users" $users
  "databases" $databases
-}}
{{- toJson (dict "postgresql" $pg) -}}
{{- end -}}

{{/* What a running member cannot take over: a change of it restarts the pods. */}}
{{- define "postgresql.restartConfig" -}}
{{- include "mainstay.restartConfig" (dict "root" . "engine" "postgresql" "section" "postgresql" "config" (include "postgresql.agentConfig" . | fromJson)
  "restartParameters" (include "postgresql.restartParameters" .)
  "reloadable" (list "hba" "users" "databases" "slot_wal_cap" "clone_rate" "start_timeout" "stop_timeout" "clone_timeout" "initdb")) -}}
{{- end -}}
