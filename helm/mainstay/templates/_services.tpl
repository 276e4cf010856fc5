{{/*
Services of a cluster: <cluster> (the primary), <cluster>-ro (replicas), <cluster>-r (any member), <cluster>-members (headless: names of
the pods). Dict: root, port (of the database), portName, appProtocol.
Top-level values read: service.{primary, replicas, any}.
*/}}

{{- define "mainstay.services" -}}
{{- $full := include "mainstay.fullname" .root -}}
{{- $kinds := list
  (dict "key" "primary" "name" $full "role" "primary")
  (dict "key" "replicas" "name" (printf "%s-ro" $full) "role" "replica")
  (dict "key" "any" "name" (printf "%s-r" $full) "role" "")
-}}
{{- range $kinds }}
{{- $s := get $.root.Values.service .key }}
{{- if $s.enabled }}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "mainstay.metadata" (dict "root" $.root "name" .name "annotations" $s.annotations "labels" (dict "mainstay.io/service" .key)) | nindent 2 }}
spec:
  type: {{ $s.type }}
  {{- if eq .key "primary" }}
  # The label alone decides: it is given by the agent that holds the lock and taken off before the next promotion. Readiness lags it
  # by a probe, which would only lengthen an outage; and a primary that is handing over serves until it did.
  publishNotReadyAddresses: true
  {{- end }}
  {{- with $s.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and $s.externalTrafficPolicy (ne $s.type "ClusterIP") }}
  externalTrafficPolicy: {{ $s.externalTrafficPolicy }}
  {{- end }}
  ports:
    - {name: {{ $.portName }}, port: {{ int $s.port }}, targetPort: {{ $.portName }}, protocol: TCP, appProtocol: {{ $.appProtocol }}{{ if and $s.nodePort (ne $s.type "ClusterIP") }}, nodePort: {{ int $s.nodePort }}{{ end }}}
  selector:
    {{- include "mainstay.selectorLabels" $.root | nindent 4 }}
    {{- with .role }}
    mainstay.io/role: {{ . }}
    {{- end }}
{{- end }}
{{- end }}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "mainstay.metadata" (dict "root" .root "name" (include "mainstay.headlessName" .root) "labels" (dict "mainstay.io/service" "members")) | nindent 2 }}
spec:
  type: ClusterIP
  clusterIP: None
  # Members find each other before they are ready: that is how they become it.
  publishNotReadyAddresses: true
  ports:
    - {name: {{ .portName }}, port: {{ int .port }}, targetPort: {{ .portName }}, protocol: TCP, appProtocol: {{ .appProtocol }}}
    - {name: grpc-mainstay, port: {{ .root.Values.mainstay.ports.grpc }}, targetPort: grpc-mainstay, protocol: TCP, appProtocol: grpc}
    - {name: http-mainstay, port: {{ .root.Values.mainstay.ports.http }}, targetPort: http-mainstay, protocol: TCP, appProtocol: http}
  selector:
    {{- include "mainstay.selectorLabels" .root | nindent 4 }}
{{- end -}}
