{{/*
Secrets with passwords that are generated once: an upgrade finds what is in the cluster. Kept when the release is uninstalled, as the volumes
are. A renderer without a cluster (GitOps) would make new ones each time: give existing ones there.
*/}}

{{/* A client's login. Dict: root, secret (its name), username, scheme and path (of the uri), port, more (optional: further keys). */}}
{{- define "mainstay.loginSecret" -}}
{{- $have := (lookup "v1" "Secret" .root.Release.Namespace .secret).data | default dict -}}
{{- $password := (index $have "password" | default "") | b64dec | default (randAlphaNum 32) -}}
{{- $host := printf "%s.%s.svc" (include "mainstay.fullname" .root) .root.Release.Namespace -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "mainstay.metadata" (dict "root" .root "name" .secret "annotations" (dict "helm.sh/resource-policy" "keep")) | nindent 2 }}
type: Opaque
data:
  username: {{ b64enc .username }}
  password: {{ b64enc $password }}
  host: {{ b64enc $host }}
  port: {{ .port | toString | b64enc }}
  {{- range $key, $value := .more }}
  {{ $key }}: {{ b64enc $value }}
  {{- end }}
  uri: {{ printf "%s://%s:%s@%s:%d/%s" .scheme .username ($password | splitList "\n" | first | urlquery | replace "+" "%20") $host (int .port) .path | b64enc }}
{{- end -}}

{{/* Refuses names whose Secrets would be one. Dict: users (name -> settings), where (the value's name, for the message). */}}
{{- define "mainstay.checkUserSecrets" -}}
{{- $secrets := dict -}}
{{- range $name := keys .users | sortAlpha -}}
{{- $secret := include "mainstay.userSecretPart" $name -}}
{{- if hasKey $secrets $secret }}{{- fail (printf "%s: %s and %s would have the same Secret; give one an existingSecret" $.where (get $secrets $secret) $name) -}}{{- end -}}
{{- if not (get $.users $name).existingSecret }}{{- $_ := set $secrets $secret $name -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* The part of a Secret's name that is the user's. */}}
{{- define "mainstay.userSecretPart" -}}{{ . | lower | replace "_" "-" | replace "." "-" }}{{- end -}}

{{/* Name of the Secret with a user's password. Dict: root, name, user. */}}
{{- define "mainstay.userSecret" -}}
{{ .user.existingSecret | default (printf "%s-user-%s" (include "mainstay.fullname" .root) (include "mainstay.userSecretPart" .name)) }}
{{- end -}}

{{/* The volume with the passwords of all users that have one. Dict: root, users (name -> settings). */}}
{{- define "mainstay.usersVolume" -}}
- name: users
  projected:
    defaultMode: 0440
    sources:
      {{- range $name := keys .users | sortAlpha }}
      {{- $user := get $.users $name }}
      - secret: {name: {{ include "mainstay.userSecret" (dict "root" $.root "name" $name "user" $user) }}, items: [{key: {{ $user.existingSecretKey | default "password" }}, path: {{ $name }}}]}
      {{- end }}
{{- end -}}
