{{/*
Rights of the agents: by name, in their namespace, nothing else (docs/KUBERNETES.md has the table with reasons).
*/}}

{{- define "mainstay.rbac" -}}
{{- $v := .Values.mainstay -}}
{{- $full := include "mainstay.fullname" . -}}
{{- if $v.serviceAccount.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "mainstay.metadata" (dict "root" . "name" (include "mainstay.serviceAccountName" .) "annotations" $v.serviceAccount.annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
{{- if $v.rbac.create }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "mainstay.metadata" (dict "root" . "name" $full) | nindent 2 }}
rules:
  # The lock and the cluster's state. The agents make it themselves and make it again when it was deleted; a right to create cannot
  # be limited to a name.
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [create]
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [{{ include "mainstay.lockName" . }}]
    {{- if eq $v.election.lock "lease" }}
    verbs: [get, patch]
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [{{ include "mainstay.lockName" . }}]
    {{- end }}
    verbs: [get, update, watch]
  # The own role's label, and taking it off the former primary.
  - apiGroups: [""]
    resources: [pods]
    resourceNames:
      {{- range $i := until (int (max .Values.instances $v.rbac.maxMembers)) }}
      - {{ $full }}-{{ $i }}
      {{- end }}
    verbs: [get, patch]
  - apiGroups: [events.k8s.io]
    resources: [events]
    verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "mainstay.metadata" (dict "root" . "name" $full) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $full }}
subjects:
  - kind: ServiceAccount
    name: {{ include "mainstay.serviceAccountName" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}
{{- end -}}
