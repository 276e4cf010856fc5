"""Runs Helm on the charts of this repository and reads what comes out.

Helm is looked for in $MAINSTAY_HELM (several, with ':'), then where `./dev kube build` puts it and in PATH. A test program that finds
none ends with status 3, which ctest reports as skipped.
"""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "test", "kube"))
import layout  # noqa: E402

try:
    import yaml
except ImportError:
    yaml = None

CHART = os.path.join(ROOT, "helm", "postgresql")
REDIS = os.path.join(ROOT, "helm", "redis")
LIBRARY = os.path.join(ROOT, "helm", "mainstay")
CI = os.path.join(CHART, "ci")


def skip(reason):
    print("skipped:", reason)
    raise SystemExit(layout.EXIT_CANNOT)


def helms():
    """Every Helm to test with; skips the whole program when there is none."""
    if yaml is None:
        skip("no module yaml: apt-get install python3-yaml")
    given = [path for path in os.environ.get("MAINSTAY_HELM", "").split(":") if path]
    try:
        return given or [layout.find("helm")]
    except layout.CannotHere as e:
        skip(f"{e}; or name a Helm in $MAINSTAY_HELM")


def environment(scratch):
    """Helm's own folders: nothing of or in the user's home."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("HELM_") and k != "KUBECONFIG"},
            "HELM_CACHE_HOME": f"{scratch}/cache", "HELM_CONFIG_HOME": f"{scratch}/config", "HELM_DATA_HOME": f"{scratch}/data",
            "KUBECACHEDIR": f"{scratch}/kube"}


class Helm:
    """One Helm program, and the environment that it runs in."""

    def __init__(self, path, env):
        self.path, self.env = path, env
        self.version = self.run("version", "--template", "{{.Version}}").stdout.strip()

    def run(self, *args, check=True, timeout=120):
        done = subprocess.run([self.path, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, env=self.env)
        if check and done.returncode:
            raise AssertionError(f"helm {' '.join(args)} ended with {done.returncode}:\n{done.stderr}\n{done.stdout[-2000:]}")
        return done

    def template(self, *args, release="pg", namespace="db", chart=CHART):
        """The objects, in order. Helm's own refusals are AssertionErrors."""
        text = self.run("template", release, chart, "--namespace", namespace, *args).stdout
        return [o for o in yaml.safe_load_all(text) if o]

    def refusal(self, *args, chart=CHART):
        """What it says when it must refuse."""
        done = self.run("template", "pg", chart, *args, check=False)
        if done.returncode == 0:
            raise AssertionError(f"{args} were not refused")
        return done.stderr


def sets(values):
    """{"a.b": 1} as flags; strings stay strings."""
    out = []
    for key, value in values.items():
        out += ["--set-string" if isinstance(value, str) else "--set", f"{key}={value if isinstance(value, str) else str(value).lower()}"]
    return out


def find(objects, kind, name=None):
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} objects {kind} {name or ''} in {[(o['kind'], o['metadata']['name']) for o in objects]}")
    return found[0]


def pods(objects):
    """(owner, pod spec) of everything that makes pods."""
    out = [(o["metadata"]["name"], o["spec"]["template"]["spec"]) for o in objects if o["kind"] == "StatefulSet"]
    return out + [(o["metadata"]["name"], o["spec"]) for o in objects if o["kind"] == "Pod"]


def containers(spec):
    return [*spec.get("initContainers", []), *spec["containers"]]


def by_name(items, name):
    return next(item for item in items if item["name"] == name)


class Case(unittest.TestCase):
    """Every test runs with every Helm (self.each())."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="mainstay-helm-")
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.all_helms = [Helm(path, environment(cls.scratch.name)) for path in helms()]
        cls.helm = cls.all_helms[0]

    def each(self):
        for helm in self.all_helms:
            with self.subTest(helm=helm.version):
                yield helm
