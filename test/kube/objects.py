"""What a fresh cluster needs before pods can start: a DNS Service, a StorageClass with local volumes."""
import os

import layout

VOLUMES_PER_NODE = 4
VOLUME_SIZE = "40Gi"
STORAGE_CLASS = "local"


def write_corefile(bed):
    """Names of other zones do not exist: there is no way out of the bed, and a refusal would make every resolver try again."""
    path = os.path.join(bed.dir, "Corefile")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f""".:53 {{
  errors
  health {layout.CONTROL_PLANE}:8089
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {bed.dir}/coredns.kubeconfig bed
    pods insecure
    ttl 1
  }}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
""")
    return path


def create(bed, api):
    """CoreDNS runs beside the control plane, so its Service has no selector but a slice that says where it is."""
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    api.create("/api/v1/namespaces/kube-system/services", {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns"},
        "spec": {"clusterIP": layout.DNS_ADDRESS, "ports": ports}})
    api.create("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": ports,
        "metadata": {"name": "kube-dns-bed", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "endpoints": [{"addresses": [layout.CONTROL_PLANE]}]})
    api.create("/apis/storage.k8s.io/v1/storageclasses", {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "kubernetes.io/no-provisioner",
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "volumeBindingMode": "WaitForFirstConsumer"})
    for node in bed.nodes:
        for number in range(1, VOLUMES_PER_NODE + 1):
            create_volume(api, node, number)


def create_volume(api, node, number):
    """An empty local volume. Released volumes are not recycled by Kubernetes: bed.Bed.recycle_volumes() does it."""
    path = node.volume(number)
    os.makedirs(path, exist_ok=True)
    for folder in (os.path.dirname(path), path):
        os.chmod(folder, 0o755)
    api.create("/api/v1/persistentvolumes", {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{node.name}-{number}"},
        "spec": {"capacity": {"storage": VOLUME_SIZE}, "accessModes": ["ReadWriteOnce"], "storageClassName": STORAGE_CLASS,
                 "persistentVolumeReclaimPolicy": "Retain", "local": {"path": path},
                 "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                     {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}]}]}}}})
