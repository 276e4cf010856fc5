{{/*
The agent: a native sidecar (an init container that stays), so it is there before the database starts and after it ended.
*/}}

{{/*
The container. Dict: root, databasePort, mounts (list of what the engine needs beside ours: data, socket, passwords), agentPort (optional:
{name, port}, as in _services.tpl).
*/}}
{{- define "mainstay.agent.container" -}}
{{- $v := .root.Values.mainstay -}}
- name: mainstay
  image: {{ include "mainstay.agentImage" .root }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  restartPolicy: Always
  command: [mainstay, agent, --config, /etc/mainstay/config/mainstay.yaml]
  env:
    {{- include "mainstay.agent.env" . | nindent 4 }}
  ports:
    - {name: grpc-mainstay, containerPort: {{ $v.ports.grpc }}, protocol: TCP}
    - {name: http-mainstay, containerPort: {{ $v.ports.http }}, protocol: TCP}
    {{- with .agentPort }}
    - {name: tcp-{{ .name }}, containerPort: {{ int .port }}, protocol: TCP}
    {{- end }}
  {{- include "mainstay.agent.probes" .root | nindent 2 }}
  resources:
    {{- toYaml $v.resources | nindent 4 }}
  securityContext:
    {{- include "mainstay.containerSecurityContext" .root | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - {name: mainstay-config, mountPath: /etc/mainstay/config, readOnly: true}
    - {name: mainstay-tls, mountPath: /etc/mainstay/tls, readOnly: true}
    - {name: mainstay-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
    - {name: mainstay-run, mountPath: /run/mainstay}
    - {name: mainstay-admin, mountPath: /run/mainstay-admin}
    {{- with include "mainstay.faces.mounts" .root }}
    {{- . | trim | nindent 4 }}
    {{- end }}
    {{- with .mounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Who it is and where it is reached; everything else stands in the file. Dict: root, databasePort. */}}
{{- define "mainstay.agent.env" -}}
{{- $ip := ternary "[$(POD_IP)]" "$(POD_IP)" (eq .root.Values.ipFamily "IPv6") -}}
- {name: MAINSTAY_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: MAINSTAY_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
- {name: MAINSTAY_KUBERNETES_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
- {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
- {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: MAINSTAY_ADVERTISE_PEER, value: "{{ $ip }}:{{ .root.Values.mainstay.ports.grpc }}"}
- {name: MAINSTAY_ADVERTISE_DATABASE, value: "{{ $ip }}:{{ .databasePort }}"}
- {name: MAINSTAY_CONFIG, value: /etc/mainstay/config/mainstay.yaml}
{{- with .root.Values.mainstay.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Liveness, readiness and startup of the agent, by HTTP; the database's container has none (docs/KUBERNETES.md says why). */}}
{{- define "mainstay.agent.probes" -}}
{{- $paths := dict "liveness" "/livez" "readiness" "/readyz" "startup" "/startupz" -}}
{{- $out := dict -}}
{{- range $kind, $path := $paths -}}
{{- $probe := get $.Values.mainstay.probes $kind -}}
{{- if $probe.enabled }}{{- $_ := set $out (printf "%sProbe" $kind) (merge (dict "httpGet" (dict "path" $path "port" "http-mainstay")) (omit $probe "enabled")) -}}{{- end -}}
{{- end -}}
{{- if $out }}
{{- toYaml $out }}
{{- end }}
{{- end -}}

{{/*
The agent's configuration as YAML, the parts that all engines share. Dict: root, engine, config (the engine's part, a dict).
*/}}
{{- define "mainstay.agent.config" -}}
{{- $root := .root -}}
{{- $v := .root.Values.mainstay -}}
{{- $cluster := include "mainstay.fullname" .root -}}
{{- $any := ternary "[::]" "0.0.0.0" (eq .root.Values.ipFamily "IPv6") -}}
{{- $members := list -}}
{{- range $i := until (int .root.Values.instances) -}}
{{- $members = append $members (dict "name" (printf "%s-%d" $cluster $i) "peer" (printf "%s-%d.%s.%s.svc:%d" $cluster $i (include "mainstay.headlessName" $root) $root.Release.Namespace (int $v.ports.grpc))) -}}
{{- end -}}
{{- $election := merge (dict "lock" $v.election.lock "takeover" $v.election.takeover "failsafe" $v.election.failsafe) $v.election.timings -}}
{{- $probe := dict -}}
{{- range $name, $key := dict "interval" "interval" "timeout" "timeout" "hung_after" "hungAfter" -}}
{{- with get $v.probe $key }}{{- $_ := set $probe $name . -}}{{- end -}}
{{- end -}}
{{- $config := dict
  "cluster" $cluster
  "engine" .engine
  "profile" $v.election.profile
  "durability" $v.durability
  "sync_count" (int $v.syncCount)
  "members" $members
  "election" $election
  "kubernetes" (dict "lock_name" (include "mainstay.lockName" $root))
  "listen" (dict "grpc" (printf "%s:%d" $any (int $v.ports.grpc)) "http" (printf "%s:%d" $any (int $v.ports.http)) "admin" "unix:/run/mainstay-admin/admin.sock")
  "tls" (dict "ca" "/etc/mainstay/tls/ca.crt" "cert" "/etc/mainstay/tls/tls.crt" "key" "/etc/mainstay/tls/tls.key" "peer_name" (include "mainstay.peerName" $root))
  "shim" (dict "socket" (include "mainstay.shim.socket" $root))
  "log" (dict "level" $v.log.level "format" $v.log.format)
  "audit" (include "mainstay.audit.config" $root | fromJson)
  "http" (include "mainstay.http.config" $root | fromJson)
  "metrics" (include "mainstay.metrics.config" $root | fromJson)
-}}
{{- with $probe }}{{- $_ := set $config "probe" . -}}{{- end -}}
{{- toYaml (merge (deepCopy $v.extraConfig) (deepCopy .config) $config) -}}
{{- end -}}

{{/* Volumes of the agent; the token is mounted into its container only. */}}
{{- define "mainstay.agent.volumes" -}}
- name: mainstay-config
  configMap: {name: {{ include "mainstay.configName" . }}, defaultMode: 0440}
- name: mainstay-tls
  secret: {secretName: {{ include "mainstay.tls.secretName" . }}, defaultMode: 0440}
- name: mainstay-token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: {{ int .Values.mainstay.tokenExpirationSeconds }}}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
- name: mainstay-run
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: mainstay-admin
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- with include "mainstay.faces.volumes" . }}
{{ trim . }}
{{- end }}
{{- end -}}

{{/* PSS restricted, for every container. */}}
{{- define "mainstay.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: {{ int .Values.uid }}
runAsGroup: {{ int .Values.gid }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}
