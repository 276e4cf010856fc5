{{/*
Who may talk to the pods and whom they may talk to. Dict: root, port (of the database), more (optional: list of further ports for clients).
Top-level values read: networkPolicy.
*/}}

{{- define "mainstay.networkPolicy" -}}
{{- $n := .root.Values.networkPolicy -}}
{{- $v := .root.Values.mainstay -}}
{{- if $n.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "mainstay.metadata" (dict "root" .root "name" (include "mainstay.fullname" .root)) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "mainstay.selectorLabels" .root | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    # Members of this cluster: replication and the agents.
    - from:
        - podSelector:
            matchLabels:
              {{- include "mainstay.selectorLabels" .root | nindent 14 }}
      ports:
        - {port: {{ int .port }}, protocol: TCP}
        - {port: {{ int $v.ports.grpc }}, protocol: TCP}
    # Clients; `helm test` is one.
    - ports:
        - {port: {{ int .port }}, protocol: TCP}
        {{- range .more }}
        - {port: {{ int . }}, protocol: TCP}
        {{- end }}
      {{- with $n.clients }}
      from:
        - podSelector:
            matchLabels:
              app.kubernetes.io/instance: {{ $.root.Release.Name }}
              app.kubernetes.io/component: test
        {{- toYaml . | nindent 8 }}
      {{- end }}
    # Monitoring. The kubelet's probes come from the node, which no policy keeps out.
    - ports:
        - {port: {{ int $v.ports.http }}, protocol: TCP}
      {{- with $n.monitoring }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- with $n.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  egress:
    - ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
    - to:
        - podSelector:
            matchLabels:
              {{- include "mainstay.selectorLabels" .root | nindent 14 }}
      ports:
        - {port: {{ int .port }}, protocol: TCP}
        - {port: {{ int $v.ports.grpc }}, protocol: TCP}
    # The API server. Policies look at packets after the Service's address was replaced, so the server's own port counts.
    - ports:
        {{- range $n.apiServerPorts }}
        - {port: {{ int . }}, protocol: TCP}
        {{- end }}
      {{- with $n.apiServer }}
      to:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- with $n.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
{{- end -}}
