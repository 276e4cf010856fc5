{{/* Containers and volumes of a member's pod. */}}
{{- define "postgresql.pod" -}}
{{- $p := .Values.postgresql -}}
{{- $dataMount := include "postgresql.dataMount" . -}}
{{- $users := include "postgresql.users" . | fromJson -}}
{{- $withPassword := dict -}}
{{- range $name, $user := $users }}{{- if include "postgresql.hasPassword" $user }}{{- $_ := set $withPassword $name $user -}}{{- end -}}{{- end -}}
initContainers:
  {{- with include "mainstay.shim.initContainer" . }}
  {{- . | nindent 2 }}
  {{- end }}
  # With the database's image, so that it is on the node before the agent starts. A Secret's files belong to root and are open to
  # the pod's group: libpq ignores such a password file. A volume that was moved or restored may have opened the data directory
  # to the group: PostgreSQL refuses that.
  - name: prepare
    image: {{ include "postgresql.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command:
      - /bin/sh
      - -ec
      - |
        umask 077
        cp /etc/mainstay/secret/pgpass /etc/mainstay/passwords/.new
        mv -f /etc/mainstay/passwords/.new /etc/mainstay/passwords/pgpass
        if [ -d {{ include "postgresql.dataDir" . }} ]; then chmod 0700 {{ include "postgresql.dataDir" . }}; fi
    resources:
      {{- toYaml .Values.mainstay.shim.resources | nindent 6 }}
    securityContext:
      {{- include "mainstay.containerSecurityContext" . | nindent 6 }}
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      - {name: password-secret, mountPath: /etc/mainstay/secret, readOnly: true}
      - {name: passwords, mountPath: /etc/mainstay/passwords}
      - {name: data, mountPath: {{ $dataMount }}}
  {{- with .Values.extraInitContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- $mounts := list
    (dict "name" "data" "mountPath" $dataMount)
    (dict "name" "socket" "mountPath" "/var/run/postgresql")
    (dict "name" "passwords" "mountPath" "/etc/mainstay/passwords" "readOnly" true)
  }}
  {{- if $withPassword }}
  {{- $mounts = append $mounts (dict "name" "users" "mountPath" "/etc/mainstay/users" "readOnly" true) }}
  {{- end }}
  {{- include "mainstay.agent.container" (dict "root" . "databasePort" 5432 "mounts" $mounts) | nindent 2 }}
containers:
  - name: postgres
    image: {{ include "postgresql.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command:
      {{- include "mainstay.shim.command" (dict "root" . "binDir" .Values.image.binDir "dataDir" (include "postgresql.dataDir" .) "paths" (list "/etc/mainstay/passwords")) | nindent 6 }}
    {{- with $p.env }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - {name: tcp-postgresql, containerPort: 5432, protocol: TCP}
    # No probes: the agent knows more than a probe could (docs/KUBERNETES.md), and none may restart a database that recovers.
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      {{- include "mainstay.containerSecurityContext" . | nindent 6 }}
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      {{- include "mainstay.shim.volumeMounts" . | nindent 6 }}
      - {name: data, mountPath: {{ $dataMount }}}
      - {name: socket, mountPath: /var/run/postgresql}
      - {name: passwords, mountPath: /etc/mainstay/passwords, readOnly: true}
      - {name: shm, mountPath: /dev/shm}
      - {name: tmp, mountPath: /tmp}
      {{- if $p.serverTlsSecret }}
      - {name: server-tls, mountPath: /etc/mainstay/server-tls, readOnly: true}
      {{- end }}
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
    secret: {secretName: {{ include "postgresql.passwordSecret" . }}, defaultMode: 0440, items: [{key: pgpass, path: pgpass}]}
  - name: passwords
    emptyDir: {medium: Memory, sizeLimit: 1Mi}
  {{- if $withPassword }}
  {{- include "mainstay.usersVolume" (dict "root" . "users" $withPassword) | nindent 2 }}
  {{- end }}
  {{- if $p.serverTlsSecret }}
  - name: server-tls
    secret: {secretName: {{ $p.serverTlsSecret }}, defaultMode: 0440}
  {{- end }}
  - name: socket
    emptyDir: {medium: Memory, sizeLimit: 1Mi}
  - name: shm
    emptyDir: {medium: Memory{{ with .Values.shmSize }}, sizeLimit: {{ . }}{{ end }}}
  - name: tmp
    emptyDir: {}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
