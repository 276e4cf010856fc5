{{/*
The shim: process 1 of the database's container. The image stays upstream's; the program comes through a volume.
*/}}

{{/* In a directory of its own: the shim demands one that nobody else may enter, and a volume's root is open to its group. */}}
{{- define "mainstay.shim.socket" -}}/run/mainstay/shim/shim.sock{{- end -}}

{{/* Copies the shim out of the agent's image; nothing with image volumes. */}}
{{- define "mainstay.shim.initContainer" -}}
{{- if not .Values.mainstay.shim.imageVolume -}}
- name: mainstay-shim
  image: {{ include "mainstay.agentImage" . }}
  imagePullPolicy: {{ .Values.mainstay.image.pullPolicy }}
  command: [mainstay-shim, --install, /mainstay/bin]
  resources:
    {{- toYaml .Values.mainstay.shim.resources | nindent 4 }}
  securityContext:
    {{- include "mainstay.containerSecurityContext" . | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - {name: mainstay-shim, mountPath: /mainstay/bin}
{{- end -}}
{{- end -}}

{{/* Command of the database's container. Dict: root, engine (postgresql when missing), binDir, dataDir,
paths (list of directories that tools may read). */}}
{{- define "mainstay.shim.command" -}}
{{- $v := .root.Values.mainstay -}}
- /mainstay/bin/mainstay-shim
- --mode=container
{{- with .engine }}
- --engine={{ . }}
{{- end }}
- --socket={{ include "mainstay.shim.socket" .root }}
- --bin-dir={{ .binDir }}
- --data-dir={{ .dataDir }}
- --allow-uid={{ int .root.Values.uid }}
{{- range .paths }}
- --path={{ . }}
{{- end }}
- --term-wait={{ int $v.shim.termWait }}
- --stop-timeout={{ int $v.shim.stopTimeout }}
{{- range $v.shim.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Mounts of the database's container. The agent's image as a volume holds the shim in /bin. */}}
{{- define "mainstay.shim.volumeMounts" -}}
- {name: mainstay-shim, mountPath: {{ ternary "/mainstay" "/mainstay/bin" .Values.mainstay.shim.imageVolume }}, readOnly: true}
- {name: mainstay-run, mountPath: /run/mainstay}
{{- end -}}

{{- define "mainstay.shim.volumes" -}}
- name: mainstay-shim
{{- if .Values.mainstay.shim.imageVolume }}
  image: {reference: {{ include "mainstay.agentImage" . | quote }}, pullPolicy: {{ .Values.mainstay.image.pullPolicy }}}
{{- else }}
  emptyDir: {sizeLimit: 32Mi}
{{- end }}
{{- end -}}

{{/* Shim's wait for the switchover + shutdown of the database + the agent's own end. */}}
{{- define "mainstay.gracePeriod" -}}
{{- $v := .Values.mainstay -}}
{{- $least := add $v.shim.termWait $v.shim.stopTimeout 15 -}}
{{- $given := int $v.terminationGracePeriodSeconds -}}
{{- if and $given (lt $given (int $least)) -}}
{{- fail (printf "mainstay.terminationGracePeriodSeconds: %d is less than shim.termWait + shim.stopTimeout + 15 = %d: the kubelet would kill the database in the middle of its shutdown; set 0 (computed) or more" $given (int $least)) -}}
{{- end -}}
{{- $given | default $least -}}
{{- end -}}
