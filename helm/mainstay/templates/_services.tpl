{{/*
Services of a cluster: <cluster> (the primary), <cluster>-ro (replicas), <cluster>-r (any member), <cluster>-members (headless: names of
the pods). Dict: root, port (of the database), portName, appProtocol, agentPort (optional: {name, port, service}: a port that every member's
agent has for clients; its Service is <cluster>-<name>).
Top-level values read: service.{primary, replicas, any}.
*/}}

{{/* What a load balancer is told. Takes one of the Services' settings. */}}
{{- define "mainstay.service.outside" -}}
{{- $out := dict -}}
{{- with .loadBalancerSourceRanges }}{{- $_ := set $out "loadBalancerSourceRanges" . -}}{{- end -}}
{{- if and .externalTrafficPolicy (ne .type "ClusterIP") }}{{- $_ := set $out "externalTrafficPolicy" .externalTrafficPolicy -}}{{- end -}}
{{- if $out }}{{ toYaml $out }}{{ end -}}
{{- end -}}

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
  {{- with include "mainstay.service.outside" $s }}
  {{- . | nindent 2 }}
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
{{- with .agentPort }}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "mainstay.metadata" (dict "root" $.root "name" (printf "%s-%s" $full .name) "annotations" .service.annotations "labels" (dict "mainstay.io/service" .name)) | nindent 2 }}
spec:
  type: {{ .service.type }}
  # Asked most of all while no database is ready.
  publishNotReadyAddresses: true
  {{- with include "mainstay.service.outside" .service }}
  {{- . | nindent 2 }}
  {{- end }}
  ports:
    - {name: tcp-{{ .name }}, port: {{ int .port }}, targetPort: tcp-{{ .name }}, protocol: TCP, appProtocol: tcp{{ if and .service.nodePort (ne .service.type "ClusterIP") }}, nodePort: {{ int .service.nodePort }}{{ end }}}
  selector:
    {{- include "mainstay.selectorLabels" $.root | nindent 4 }}
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
    {{- with .agentPort }}
    - {name: tcp-{{ .name }}, port: {{ int .port }}, targetPort: tcp-{{ .name }}, protocol: TCP, appProtocol: tcp}
    {{- end }}
  selector:
    {{- include "mainstay.selectorLabels" .root | nindent 4 }}
{{- end -}}
