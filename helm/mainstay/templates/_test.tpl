{{/*
The pod of `helm test`. Dict: root, image, pullPolicy, script, env (list), secret (optional: {secret, key}: mounted as
/etc/mainstay/user/password). Top-level values read: test, imagePullSecrets, tolerations.
*/}}
{{- define "mainstay.test" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "mainstay.fullname" .root }}-test
  namespace: {{ .root.Release.Namespace }}
  labels:
    app.kubernetes.io/name: {{ .root.Chart.Name }}
    app.kubernetes.io/instance: {{ .root.Release.Name }}
    app.kubernetes.io/component: test
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  activeDeadlineSeconds: {{ add .root.Values.test.timeout 60 }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "mainstay.podSecurityContext" .root | nindent 4 }}
  containers:
    - name: test
      image: {{ .image }}
      imagePullPolicy: {{ .pullPolicy }}
      env:
        {{- range .env }}
        - {name: {{ .name }}, value: {{ .value | quote }}}
        {{- end }}
      command:
        - /bin/sh
        - -ec
        - |
          {{- .script | trim | nindent 10 }}
      resources:
        {{- toYaml .root.Values.test.resources | nindent 8 }}
      securityContext:
        {{- include "mainstay.containerSecurityContext" .root | nindent 8 }}
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if .secret }}
        - {name: user, mountPath: /etc/mainstay/user, readOnly: true}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    {{- with .secret }}
    - name: user
      secret: {secretName: {{ .secret }}, defaultMode: 0440, items: [{key: {{ .key }}, path: password}]}
    {{- end }}
{{- end -}}

{{/* The beginning of its script: `again COMMAND`, until it works, within the time. */}}
{{- define "mainstay.test.again" -}}
end=$(($(date +%s) + {{ int .Values.test.timeout }}))
again() {  # until it works, within the time
  until "$@"; do
    if [ "$(date +%s)" -ge "$end" ]; then echo "FAILED: $*" >&2; exit 1; fi
    sleep 1
  done
}
{{- end -}}
