{{/*
Names, labels and images. Every template takes the root context unless it says otherwise.
A chart on this library has at its top: instances, nameOverride, fullnameOverride, commonLabels, commonAnnotations, podLabels,
podAnnotations, and what _pod.tpl, _services.tpl and _network.tpl read.
*/}}

{{/* The cluster's name, also that of the StatefulSet; the pods are <it>-0, <it>-1, ... */}}
{{- define "mainstay.fullname" -}}
{{- $name := .Values.fullnameOverride | default (ternary (printf "%s-%s" .Release.Name .Values.nameOverride) .Release.Name (ne (.Values.nameOverride | default "") "")) -}}
{{- if gt (len $name) 37 -}}
{{- fail (printf "the name %q has %d characters, a cluster's may have 37 (a member's is part of its replication slot and application name): choose a shorter release name, or set fullnameOverride" $name (len $name)) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the name %q is no cluster's name: use a-z, 0-9 and -; set fullnameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "mainstay.headlessName" -}}{{ include "mainstay.fullname" . }}-members{{- end -}}
{{- define "mainstay.lockName" -}}{{ include "mainstay.fullname" . }}-mainstay{{- end -}}
{{- define "mainstay.configName" -}}{{ include "mainstay.fullname" . }}-config{{- end -}}
{{- define "mainstay.serviceAccountName" -}}{{ .Values.mainstay.serviceAccount.name | default (include "mainstay.fullname" .) }}{{- end -}}

{{- define "mainstay.chart" -}}{{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}{{- end -}}

{{/* What selectors use: it can never change. */}}
{{- define "mainstay.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: database
mainstay.io/cluster: {{ include "mainstay.fullname" . }}
{{- end -}}

{{/* Labels of every object but pods (whose labels would restart them with every version of the chart). */}}
{{- define "mainstay.labels" -}}
{{ include "mainstay.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: mainstay
helm.sh/chart: {{ include "mainstay.chart" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object. Dict: root, name, annotations (optional), labels (optional). */}}
{{- define "mainstay.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "mainstay.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Reference of an image. Dict: image {repository, tag, digest}, default (tag). */}}
{{- define "mainstay.imageRef" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .default }}
{{- end -}}
{{- end -}}

{{- define "mainstay.agentImage" -}}
{{ include "mainstay.imageRef" (dict "image" .Values.mainstay.image "default" .Chart.AppVersion) }}
{{- end -}}
