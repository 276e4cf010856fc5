"""Image archives without a builder: a layer from a list of files, written as an OCI layout and as a docker archive.

Same input, same bytes: names in order, owners and modes as given, all times EPOCH, no compression.
"""
import hashlib
import io
import json
import os
import platform
import tarfile

EPOCH = 1735689600  # 2025-01-01: tar, manifests and file systems all take it
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture():
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


class Layer:
    """A tar file under construction, in memory-free order: entries are written as they come."""

    def __init__(self, path):
        self.path, self.names = path, []
        self.tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)

    def _entry(self, name, kind, mode, owner):
        entry = tarfile.TarInfo(name.lstrip("/"))
        entry.type, entry.mode, entry.mtime = kind, mode, EPOCH
        entry.uid = entry.gid = 0
        if owner:
            entry.uid, entry.gid = owner
        self.names.append("/" + entry.name)
        return entry

    def folder(self, name, mode=0o755, owner=None):
        self.tar.addfile(self._entry(name, tarfile.DIRTYPE, mode, owner))

    def data(self, name, data, mode=0o644, owner=None):
        entry = self._entry(name, tarfile.REGTYPE, mode, owner)
        entry.size = len(data)
        self.tar.addfile(entry, io.BytesIO(data))

    def file(self, name, source, mode=0o644, owner=None):
        with open(source, "rb") as f:
            entry = self._entry(name, tarfile.REGTYPE, mode, owner)
            entry.size = os.fstat(f.fileno()).st_size
            self.tar.addfile(entry, f)

    def link(self, name, target):
        entry = self._entry(name, tarfile.SYMTYPE, 0o777, None)
        entry.linkname = target
        self.tar.addfile(entry)

    def tree(self, root, owner_of=lambda name, status: (0, 0)):
        """A whole root file system, in the order of its names. OWNER_OF(name, lstat) says to whom an entry belongs."""
        for where, folders, files in os.walk(root):
            folders.sort()
            inside = where[len(root):]
            if inside:
                status = os.lstat(where)
                self.folder(inside, status.st_mode & 0o7777, owner_of(inside, status))
            for name in sorted([*files, *(d for d in folders if os.path.islink(os.path.join(where, d)))]):
                path = os.path.join(where, name)
                status = os.lstat(path)
                if os.path.islink(path):
                    self.link(f"{inside}/{name}", os.readlink(path))
                elif os.path.isfile(path):
                    self.file(f"{inside}/{name}", path, status.st_mode & 0o7777, owner_of(f"{inside}/{name}", status))

    def close(self):
        self.tar.close()


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            h.update(block)
    return h.hexdigest()


def _json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def write(folder, name, tag, layer, config):
    """FOLDER/NAME.tar (docker archive) and FOLDER/NAME.oci.tar (OCI layout) of one layer. Returns the image's digest.

    CONFIG: User, Env, Entrypoint, Cmd, Labels, ... as the OCI image specification has them.
    """
    layer_digest = digest(layer)
    created = "2025-01-01T00:00:00Z"
    image = _json({"architecture": architecture(), "os": "linux", "created": created, "config": config,
                   "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_digest]},
                   "history": [{"created": created, "created_by": "./dev image"}]})
    image_digest = hashlib.sha256(image).hexdigest()
    manifest = _json({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + image_digest, "size": len(image)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:" + layer_digest,
                    "size": os.path.getsize(layer)}]})
    manifest_digest = hashlib.sha256(manifest).hexdigest()
    index = _json({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + manifest_digest, "size": len(manifest),
        "platform": {"architecture": architecture(), "os": "linux"},
        "annotations": {"org.opencontainers.image.ref.name": tag.rpartition(":")[2], "io.containerd.image.name": full_name(tag)}}]})
    _publish(os.path.join(folder, f"{name}.oci.tar"), layer, {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": index,
        f"blobs/sha256/{image_digest}": image, f"blobs/sha256/{manifest_digest}": manifest}, f"blobs/sha256/{layer_digest}")
    _publish(os.path.join(folder, f"{name}.tar"), layer, {
        f"{image_digest}.json": image,
        "manifest.json": _json([{"Config": f"{image_digest}.json", "RepoTags": [full_name(tag)], "Layers": [f"{layer_digest}/layer.tar"]}])},
        f"{layer_digest}/layer.tar")
    return "sha256:" + manifest_digest


def full_name(tag):
    """postgres:15 is docker.io/library/postgres:15, a/b:1 is docker.io/a/b:1. Written out, because without it containerd, Docker and
    Podman (which takes localhost/) make different names of it."""
    host, slash, _ = tag.partition("/")
    if not slash:
        return "docker.io/library/" + tag
    return tag if "." in host or ":" in host or host == "localhost" else "docker.io/" + tag


def _publish(path, layer, files, layer_name):
    """Under its name only when it is whole."""
    out = Layer(path + ".new")
    for name, data in sorted(files.items()):
        out.data(name, data)
    out.file(layer_name, layer)
    out.close()
    os.replace(path + ".new", path)
