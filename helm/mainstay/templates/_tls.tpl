{{/*
Mutual TLS of the agents. Generated once and kept: an upgrade reads what is in the cluster (lookup). A renderer without a cluster
(GitOps) finds nothing and would make a new one each time: use tls.existingSecret or cert-manager there.
*/}}

{{/* The name that a certificate must hold to be taken for a member or an administrator of this cluster. */}}
{{- define "mainstay.peerName" -}}agent.{{ include "mainstay.fullname" . }}.mainstay{{- end -}}

{{- define "mainstay.tls.secretName" -}}
{{ .Values.mainstay.tls.existingSecret | default (printf "%s-tls" (include "mainstay.fullname" .)) }}
{{- end -}}

{{- define "mainstay.tls.names" -}}
{{- $members := printf "%s.%s.svc" (include "mainstay.headlessName" .) .Release.Namespace -}}
{{ list (include "mainstay.peerName" .) $members (printf "*.%s" $members) "localhost" | toJson }}
{{- end -}}

{{- define "mainstay.tls" -}}
{{- $tls := .Values.mainstay.tls -}}
{{- $name := include "mainstay.tls.secretName" . -}}
{{- $names := include "mainstay.tls.names" . | fromJsonArray -}}
{{- if and $tls.existingSecret $tls.certManager.enabled -}}
{{- fail "mainstay.tls: existingSecret and certManager.enabled exclude each other: choose one" -}}
{{- end -}}
{{- if $tls.certManager.enabled }}
{{- if not $tls.certManager.issuerRef.name }}{{ fail "mainstay.tls.certManager.issuerRef.name is missing: name the Issuer that signs the agents' certificates" }}{{ end }}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  {{- include "mainstay.metadata" (dict "root" . "name" $name) | nindent 2 }}
spec:
  secretName: {{ $name }}
  issuerRef:
    {{- toYaml $tls.certManager.issuerRef | nindent 4 }}
  duration: {{ $tls.certManager.duration }}
  renewBefore: {{ $tls.certManager.renewBefore }}
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  usages: [digital signature, key encipherment, client auth, server auth]
  dnsNames:
    {{- toYaml $names | nindent 4 }}
{{- else if not $tls.existingSecret }}
{{- $have := (lookup "v1" "Secret" .Release.Namespace $name).data | default dict }}
{{- $data := dict }}
{{- if and (index $have "ca.crt") (index $have "tls.crt") (index $have "tls.key") }}
{{- $data = pick $have "ca.crt" "tls.crt" "tls.key" }}
{{- else }}
{{- $ca := genCAWithKey (printf "mainstay %s/%s" .Release.Namespace (include "mainstay.fullname" .)) (int $tls.days) (genPrivateKey "ecdsa") }}
{{- $cert := genSignedCertWithKey (include "mainstay.peerName" .) (list) $names (int $tls.days) $ca (genPrivateKey "ecdsa") }}
{{- $data = dict "ca.crt" (b64enc $ca.Cert) "tls.crt" (b64enc $cert.Cert) "tls.key" (b64enc $cert.Key) }}
{{- end }}
---
apiVersion: v1
kind: Secret
metadata:
  {{- include "mainstay.metadata" (dict "root" . "name" $name) | nindent 2 }}
type: kubernetes.io/tls
data:
  {{- toYaml $data | nindent 2 }}
{{- end }}
{{- end -}}
