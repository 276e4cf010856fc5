#!/usr/bin/python3
"""The agent's image: its files are image/agent/files.txt, the same input makes the same bytes, the Containerfile says the same."""
import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import image

BUILD = os.environ.get("MAINSTAY_BUILD", os.path.join(image.ROOT, "build", "release"))


def containerfile():
    """{instruction: [arguments]} of the last stage."""
    with open(os.path.join(image.HERE, "Containerfile"), encoding="utf-8") as f:
        text = f.read()
    lines = [x.strip() for x in text[text.rindex("\nFROM scratch"):].replace("\\\n", " ").splitlines() if x.strip()]
    out = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        out.setdefault(word, []).append(rest)
    return out


class TestImage(unittest.TestCase):
    """Archives of two runs."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folders = [os.path.join(cls.scratch.name, n) for n in "ab"]
        for folder in cls.folders:
            subprocess.run([sys.executable, os.path.join(image.HERE, "image.py"), "agent", "--build", BUILD, "--out", folder], check=True,
                           timeout=120)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def members(self, name):
        with tarfile.open(os.path.join(self.folders[0], name)) as tar:
            return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}

    def test_same_input_same_bytes(self):
        for name in ("agent.tar", "agent.oci.tar"):
            digests = {image.archive.digest(os.path.join(f, name)) for f in self.folders}
            self.assertEqual(len(digests), 1, name)

    def test_oci_layout_is_whole(self):
        files = self.members("agent.oci.tar")
        self.assertEqual(json.loads(files["oci-layout"]), {"imageLayoutVersion": "1.0.0"})
        reference = json.loads(files["index.json"])["manifests"][0]
        manifest = json.loads(self.blob(files, reference))
        config = json.loads(self.blob(files, manifest["config"]))
        layer = self.blob(files, manifest["layers"][0])
        self.assertEqual(config["rootfs"]["diff_ids"], ["sha256:" + hashlib.sha256(layer).hexdigest()])
        self.assertLess(len(layer), image.LIMIT_MB * 1000000)
        self.assertEqual(config["architecture"], {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()])

    def blob(self, files, descriptor):
        data = files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
        self.assertEqual((len(data), "sha256:" + hashlib.sha256(data).hexdigest()), (descriptor["size"], descriptor["digest"]))
        return data

    def test_docker_archive_is_whole(self):
        files = self.members("agent.tar")
        entry = json.loads(files["manifest.json"])[0]
        self.assertEqual(entry["RepoTags"], ["docker.io/mainstay/agent:dev"])
        self.assertEqual(entry["Config"], hashlib.sha256(files[entry["Config"]]).hexdigest() + ".json")
        self.assertEqual(json.loads(files[entry["Config"]])["rootfs"]["diff_ids"],
                         ["sha256:" + hashlib.sha256(files[entry["Layers"][0]]).hexdigest()])

    def test_full_names(self):
        for short, full in (("postgres:15", "docker.io/library/postgres:15"), ("mainstay/agent:dev", "docker.io/mainstay/agent:dev"),
                            ("localhost/a:1", "localhost/a:1"), ("host:5000/a:1", "host:5000/a:1"), ("a.b/c:1", "a.b/c:1")):
            self.assertEqual(image.archive.full_name(short), full)

    def test_files_are_the_listed_ones(self):
        """What --rootfs unpacks (the Containerfile copies just that) and what the archive's layer has: the list, no more, no less."""
        root = os.path.join(self.scratch.name, "root")
        subprocess.run([sys.executable, os.path.join(image.HERE, "image.py"), "agent", "--build", BUILD, "--rootfs", root], check=True, timeout=120)
        listed = {(name, mode) for _, mode, name, _ in image.entries()}
        unpacked = set()
        for where, folders, names in os.walk(root):
            for name in folders + names:
                path = os.path.join(where, name)
                unpacked.add((path[len(root):], os.lstat(path).st_mode & 0o7777))
        self.assertEqual(unpacked, listed)
        manifest = json.loads(self.members("agent.tar")["manifest.json"])[0]
        with tarfile.open(os.path.join(self.folders[0], "agent.tar")) as outer:
            with tarfile.open(fileobj=outer.extractfile(manifest["Layers"][0])) as layer:
                self.assertEqual({("/" + m.name, m.mode) for m in layer.getmembers()}, listed)
                self.assertEqual({(m.uid, m.gid) for m in layer.getmembers()}, {(0, 0)})

    @unittest.skipIf(os.geteuid() != 0, "chroot needs root")
    def test_programs_start_with_nothing_but_the_image(self):
        root = os.path.join(self.scratch.name, "alone")
        subprocess.run([sys.executable, os.path.join(image.HERE, "image.py"), "agent", "--build", BUILD, "--rootfs", root], check=True, timeout=120)
        for program in ("/bin/mainstay", "/bin/mainstay-shim"):
            done = subprocess.run(["chroot", "--userspec=65532:65532", root, program, "--help"], capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_containerfile_says_the_same(self):
        said, config = containerfile(), image.agent_config()
        self.assertEqual(said["COPY"], ["--from=build /rootfs/ /"])
        self.assertEqual(said["USER"], [config["User"]])
        self.assertEqual(said["WORKDIR"], [config["WorkingDir"]])
        self.assertEqual(json.loads(said["ENTRYPOINT"][0]), config["Entrypoint"])
        self.assertEqual(json.loads(said["CMD"][0]), config["Cmd"])
        self.assertEqual(shlex.split(said["ENV"][0]), config["Env"])
        self.assertEqual({f"{p}/tcp" for p in said["EXPOSE"][0].split()}, set(config["ExposedPorts"]))
        self.assertEqual(dict(re.split("=", w, maxsplit=1) for w in shlex.split(said["LABEL"][0])), config["Labels"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
