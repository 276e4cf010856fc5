{{/* Containers and volumes of a member's pod. */}}
{{- define "redis.pod" -}}
{{- $dataMount := include "redis.dataMount" . -}}
{{- $withPassword := include "redis.withPassword" (include "redis.users" . | fromJson) | fromJson -}}
{{- $sentinelPassword := and .Values.sentinel.enabled .Values.sentinel.existingSecret -}}
initContainers:
  {{- with include "mainstay.shim.initContainer" . }}
  {{- . | nindent 2 }}
  {{- end }}
  # With the server's image, so that it is on the node before the agent starts. A Secret's files belong to root and are open to the pod's
  # group: the agent refuses such a password file.
  - name: prepare
    image: {{ include "redis.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command:
      - /bin/sh
      - -ec
      - |
        umask 077
        cp /etc/mainstay/secret/replication /etc/mainstay/passwords/.new
        mv -f /etc/mainstay/passwords/.new /etc/mainstay/passwords/replication
    resources:
      {{- toYaml .Values.mainstay.shim.resources | nindent 6 }}
    securityContext:
      {{- include "mainstay.containerSecurityContext" . | nindent 6 }}
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      - {name: password-secret, mountPath: /etc/mainstay/secret, readOnly: true}
      - {name: passwords, mountPath: /etc/mainstay/passwords}
  {{- with .Values.extraInitContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- $mounts := list
    (dict "name" "data" "mountPath" $dataMount)
    (dict "name" "socket" "mountPath" "/run/redis")
    (dict "name" "passwords" "mountPath" "/etc/mainstay/passwords" "readOnly" true)
  }}
  {{- if $withPassword }}
  {{- $mounts = append $mounts (dict "name" "users" "mountPath" "/etc/mainstay/users" "readOnly" true) }}
  {{- end }}
  {{- if $sentinelPassword }}
  {{- $mounts = append $mounts (dict "name" "sentinel" "mountPath" "/etc/mainstay/sentinel" "readOnly" true) }}
  {{- end }}
  {{- include "mainstay.agent.container" (dict "root" . "databasePort" 6379 "mounts" $mounts "agentPort" (include "redis.agentPort" . | fromJson)) | nindent 2 }}
containers:
  - name: redis
    image: {{ include "redis.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command:
      {{- include "mainstay.shim.command" (dict "root" . "engine" "redis" "binDir" .Values.image.binDir "dataDir" (include "redis.dataDir" .)) | nindent 6 }}
    ports:
      - {name: tcp-redis, containerPort: 6379, protocol: TCP}
    # No probes: the agent knows more than a probe could (docs/KUBERNETES.md), and none may restart a server that loads its data.
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      {{- include "mainstay.containerSecurityContext" . | nindent 6 }}
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      {{- include "mainstay.shim.volumeMounts" . | nindent 6 }}
      - {name: data, mountPath: {{ $dataMount }}}
      - {name: socket, mountPath: /run/redis}
      {{- with .Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  {{- with .Values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  {{- include "mainstay.shim.volumes" . | nindent 2 }}
  {{- include "mainstay.agent.volumes" . | nindent 2 }}
  - name: password-secret
    secret: {secretName: {{ include "redis.replicationSecret" . }}, defaultMode: 0440, items: [{key: {{ .Values.redis.existingSecret | empty | ternary "password" .Values.redis.existingSecretKey }}, path: replication}]}
  - name: passwords
    emptyDir: {medium: Memory, sizeLimit: 1Mi}
  {{- if $withPassword }}
  {{- include "mainstay.usersVolume" (dict "root" . "users" $withPassword) | nindent 2 }}
  {{- end }}
  {{- if $sentinelPassword }}
  - name: sentinel
    secret: {secretName: {{ .Values.sentinel.existingSecret }}, defaultMode: 0440, items: [{key: {{ .Values.sentinel.existingSecretKey }}, path: passwords}]}
  {{- end }}
  - name: socket
    emptyDir: {medium: Memory, sizeLimit: 1Mi}
  {{- if not .Values.persistence.enabled }}
  - name: data
    emptyDir:
      {{- toYaml .Values.persistence.emptyDir | nindent 6 }}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
