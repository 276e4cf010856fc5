#!/usr/bin/python3
"""What helm/redis renders, beside what holds for every chart (everyvalues.py): users without their passwords, Sentinel's port, the data
without volumes, parameters that restart or do not, refusals. No API server."""
import base64
import json
import os
import re
import signal
import socket
import subprocess
import time
import unittest

from helmcase import *  # noqa: F403
from everyvalues import EveryValues, config_of
from helmcase import CHART, REDIS, ROOT, by_name, containers, find, sets, yaml


class EveryRedisValues(EveryValues, Case):
    chart, port = REDIS, 6379


class RedisCase(Case):
    def objects(self, *args):
        return self.helm.template(*args, release="rd", chart=REDIS)

    def pod(self, *args):
        return find(self.objects(*args), "StatefulSet")["spec"]["template"]

    def acl(self, *args):
        lines = find(self.objects(*args), "ConfigMap", "rd-config")["data"]["users.acl"].splitlines()
        return [line for line in lines if not line.startswith("#")]


class Redis(RedisCase):
    """What single values do."""

    def test_the_database_container(self):
        template = self.pod()
        self.assertEqual(template["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"], "redis")
        spec = template["spec"]
        self.assertEqual([c["name"] for c in spec["initContainers"]], ["mainstay-shim", "prepare", "mainstay"])
        self.assertIs(spec["shareProcessNamespace"], False)  # the shim is process 1, or there is no fence
        database = by_name(spec["containers"], "redis")
        self.assertEqual(database["command"][:3], ["/mainstay/bin/mainstay-shim", "--mode=container", "--engine=redis"])
        for name in ("livenessProbe", "readinessProbe", "startupProbe"):
            self.assertNotIn(name, database)
        # Agent and shim mean the same places.
        options = dict(o.lstrip("-").split("=", 1) for o in database["command"][1:])
        config = config_of(self.objects())
        self.assertEqual(options["socket"], config["shim"]["socket"])
        self.assertEqual(options["data-dir"], config["redis"]["data_dir"])
        self.assertEqual(options["bin-dir"], config["redis"]["bin_dir"])
        agent = by_name(spec["initContainers"], "mainstay")
        shared = {m["name"] for m in agent["volumeMounts"]} & {m["name"] for m in database["volumeMounts"]}
        self.assertEqual(shared, {"mainstay-run", "data", "socket"})
        # No password is mounted beside the server; whoever gets into the agent's own socket may command it.
        self.assertFalse({m["name"] for m in database["volumeMounts"]} & {"mainstay-admin", "users", "passwords", "password-secret"})

    def test_users_without_their_passwords(self):
        self.assertEqual(self.acl(), ["user default on passwords=/etc/mainstay/users/default ~* &* +@all -@admin"])
        values = sets({"redis.users.app.rules": "~app:* +@all -@admin", "redis.users.Old.existingSecret": "old", "redis.users.Old.existingSecretKey": "k"})
        self.assertEqual(self.acl(*values)[:2], ["user Old on passwords=/etc/mainstay/users/Old ~* &* +@all -@admin",
                                                 "user app on passwords=/etc/mainstay/users/app ~app:* +@all -@admin"])
        objects = self.objects(*values)
        self.assertEqual(sorted(o["metadata"]["name"] for o in objects if o["kind"] == "Secret"), ["rd-replication", "rd-tls", "rd-user-app", "rd-user-default"])
        uri = base64.b64decode(find(objects, "Secret", "rd-user-app")["data"]["uri"]).decode()
        self.assertRegex(uri, r"^redis://app:[A-Za-z0-9]{32}@rd\.db\.svc:6379/0$")
        sources = by_name(find(objects, "StatefulSet")["spec"]["template"]["spec"]["volumes"], "users")["projected"]["sources"]
        self.assertEqual([(s["secret"]["name"], s["secret"]["items"][0]) for s in sources],
                         [("old", {"key": "k", "path": "Old"}), ("rd-user-app", {"key": "password", "path": "app"}), ("rd-user-default", {"key": "password", "path": "default"})])

    def test_without_a_password(self):
        values = ["--set", "redis.users.default.password=false"]
        self.assertEqual(self.acl(*values), ["user default on nopass ~* &* +@all -@admin"])
        self.assertEqual(config_of(self.objects(*values))["redis"]["parameters"], {"protected-mode": "no"})  # else it is for this machine alone
        self.assertFalse([v for v in self.pod(*values)["spec"]["volumes"] if v["name"] == "users"])
        self.assertEqual(self.acl("--set", "redis.users.default=null"), [])
        self.assertNotIn("protected-mode", config_of(self.objects())["redis"]["parameters"])

    def test_given_secrets_are_used_and_none_made(self):
        objects = self.objects(*sets({"redis.existingSecret": "m", "redis.existingSecretKey": "k", "mainstay.tls.existingSecret": "t",
                                      "redis.users.default.existingSecret": "u"}))
        self.assertFalse([o for o in objects if o["kind"] == "Secret"])
        volumes = find(objects, "StatefulSet")["spec"]["template"]["spec"]["volumes"]
        self.assertEqual(by_name(volumes, "password-secret")["secret"],
                         {"secretName": "m", "defaultMode": 0o440, "items": [{"key": "k", "path": "replication"}]})
        self.assertEqual(by_name(volumes, "users")["projected"]["sources"], [{"secret": {"name": "u", "items": [{"key": "password", "path": "default"}]}}])

    def test_data_without_volumes(self):
        workload = find(self.objects(*sets({"persistence.enabled": False, "persistence.emptyDir.medium": "Memory", "persistence.emptyDir.sizeLimit": "1Gi"})), "StatefulSet")
        self.assertNotIn("volumeClaimTemplates", workload["spec"])
        self.assertNotIn("persistentVolumeClaimRetentionPolicy", workload["spec"])
        self.assertEqual(by_name(workload["spec"]["template"]["spec"]["volumes"], "data")["emptyDir"], {"medium": "Memory", "sizeLimit": "1Gi"})
        workload = find(self.objects(), "StatefulSet")
        self.assertEqual(workload["spec"]["persistentVolumeClaimRetentionPolicy"], {"whenDeleted": "Retain", "whenScaled": "Retain"})
        self.assertEqual(workload["spec"]["volumeClaimTemplates"][0]["metadata"]["name"], "data")

    def test_sentinel(self):
        objects = self.objects()
        self.assertNotIn("sentinel_listen", config_of(objects)["redis"])
        self.assertFalse([o for o in objects if o["metadata"]["name"] == "rd-sentinel"])
        objects = self.objects(*sets({"sentinel.enabled": True, "sentinel.existingSecret": "s", "networkPolicy.enabled": True}))
        config = config_of(objects)["redis"]
        self.assertEqual((config["sentinel_listen"], config["sentinel_names"], config["sentinel_password_file"]),
                         ("0.0.0.0:26379", ["mymaster"], "/etc/mainstay/sentinel/passwords"))
        service = find(objects, "Service", "rd-sentinel")
        self.assertEqual([p["port"] for p in service["spec"]["ports"]], [26379])
        self.assertIn(26379, [p["port"] for p in find(objects, "Service", "rd-members")["spec"]["ports"]])
        spec = find(objects, "StatefulSet")["spec"]["template"]["spec"]
        self.assertIn("tcp-sentinel", [p["name"] for p in by_name(spec["initContainers"], "mainstay")["ports"]])
        self.assertEqual([c["name"] for c in containers(spec) if "sentinel" in [m["name"] for m in c["volumeMounts"]]], ["mainstay"])
        ports = [[p["port"] for p in rule["ports"]] for rule in find(objects, "NetworkPolicy")["spec"]["ingress"]]
        self.assertEqual(ports, [[6379, 7400], [6379, 26379], [7401]])

    def test_only_what_cannot_be_reloaded_restarts(self):
        def mark(*args):
            return self.pod(*args)["metadata"]["annotations"]["mainstay.io/restart-config"]
        before = mark()
        self.assertEqual(before, mark())
        for reloaded in ({"redis.parameters.maxmemory": "1gb"}, {"redis.parameters.save": ""}, {"redis.minReplicas": 1}, {"redis.users.app.rules": "~*"},
                         {"mainstay.log.level": "debug"}, {"mainstay.metrics.maxSamples": 5}, {"instances": 5}, {"service.primary.port": 6380}):
            with self.subTest(reloaded=reloaded):
                self.assertEqual(mark(*sets(reloaded)), before)
        for restarting in ({"redis.parameters.databases": 4}, {"redis.parameters.io-threads": 2}, {"mainstay.election.profile": "fast"},
                           {"mainstay.log.format": "text"}, {"sentinel.enabled": True}):
            with self.subTest(restarting=restarting):
                self.assertNotEqual(mark(*sets(restarting)), before)

    def test_parameters_keep_their_text(self):
        config = config_of(self.objects(*sets({"redis.parameters.hz": 100000000, "redis.parameters.appendonly": True, "redis.parameters.save": "",
                                               "redis.parameters.rdbcompression": False, "redis.parameters.active-defrag-ignore-bytes": "100mb"})))
        self.assertEqual(config["redis"]["parameters"], {"hz": "100000000", "appendonly": "yes", "save": "", "rdbcompression": "no",
                                                         "active-defrag-ignore-bytes": "100mb"})

    def test_the_article(self):
        """A RedisFailover: three members, requests, exporter, customConfig, a password of a Secret; no Sentinels run."""
        objects = self.helm.template("-f", os.path.join(REDIS, "examples", "spotahome-style.yaml"), release="redisfailover", chart=REDIS)
        workload = find(objects, "StatefulSet")
        self.assertEqual(workload["spec"]["replicas"], 3)
        database = by_name(workload["spec"]["template"]["spec"]["containers"], "redis")
        self.assertEqual(database["resources"], {"requests": {"cpu": "150m", "memory": "400Mi"}, "limits": {"cpu": "400m", "memory": "500Mi"}})
        self.assertEqual([c["name"] for c in workload["spec"]["template"]["spec"]["containers"]], ["redis"])  # no exporter beside it
        self.assertEqual(find(objects, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["path"], "/metrics")
        config = config_of(objects)["redis"]
        self.assertEqual(config["parameters"]["client-output-buffer-limit"], "normal 0 0 0")
        self.assertEqual(config["parameters"]["hz"], "50")
        self.assertEqual(config["sentinel_names"], ["mymaster"])
        aliases = {o["metadata"]["name"]: o["spec"]["externalName"] for o in objects if o["kind"] == "Service" and o["spec"]["type"] == "ExternalName"}
        self.assertEqual(aliases, {"rfrm-redisfailover": "redisfailover.db.svc.cluster.local", "rfrs-redisfailover": "redisfailover-ro.db.svc.cluster.local",
                                   "rfs-redisfailover": "redisfailover-sentinel.db.svc.cluster.local"})

    def test_notes(self):
        for helm in self.each():
            done = helm.run("install", "rd", REDIS, "--dry-run=client", "--namespace", "db", *sets({"sentinel.enabled": True}), check=False)
            if "unreachable" in done.stderr or "refused" in done.stderr:  # Helm 4 wants a server even so; test_server.py looks there
                continue
            self.assertIn("rd.db.svc:6379", done.stdout)
            self.assertIn("rd-sentinel.db.svc:26379", done.stdout)
            self.assertIn("get secret rd-user-default", done.stdout)


class Server(RedisCase):
    """What the chart says of redis-server, compared with one."""

    def test_parameters_that_need_a_restart_are_the_servers(self):
        server = "/usr/bin/redis-server"
        if not os.path.exists(server):
            self.skipTest("no redis-server here")
        path = os.path.join(self.scratch.name, "redis.sock")
        process = subprocess.Popen([server, "--port", "0", "--unixsocket", path, "--dir", self.scratch.name, "--save", ""], stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait, 20)
        self.addCleanup(process.send_signal, signal.SIGTERM)
        end = time.monotonic() + 20
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(path)
            f = s.makefile("rwb")

            def ask(*words):
                f.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words))
                f.flush()
                return read()

            def read():
                line = f.readline()
                if line[:1] == b"*":
                    return [read() for _ in range(int(line[1:]))]
                return f.read(int(line[1:]) + 2)[:-2].decode() if line[:1] == b"$" else line.decode().strip()
            flat = ask("CONFIG", "GET", "*")
            real = {name for name, value in zip(flat[::2], flat[1::2]) if "immutable" in ask("CONFIG", "SET", name, value)}
        self.assertTrue(real)
        ours, kept = self.names("restartParameters"), self.names("keptParameters")
        self.assertEqual(real - kept - ours, set())
        self.assertEqual(ours & kept, set())

    @staticmethod
    def names(template):
        """Of the chart's lists of parameters."""
        with open(os.path.join(REDIS, "templates", "_helpers.tpl"), encoding="utf-8") as f:
            return set(re.search(template + r"\" -}}\n{{ \" \" }}(.*?){{", f.read(), re.S).group(1).split())

    def test_what_mainstay_keeps_is_refused_here_too(self):
        with open(os.path.join(ROOT, "lib", "engine", "redis", "conf.cc"), encoding="utf-8") as f:
            table = re.search(r"kKept\[\] = \{(.*?)\n\};", f.read(), re.S).group(1)
        self.assertEqual(set(re.findall(r'\{"([a-z-]+)",', table)), self.names("keptParameters"))


class Refusals(RedisCase):
    """Mistakes are told by name, by every Helm."""

    def refused(self, values, *words):
        for helm in self.each():
            text = helm.refusal(*sets(values), chart=REDIS)
            for word in words:
                self.assertIn(word, text)

    def test_typos(self):
        self.refused({"instnces": 2}, "instnces")
        self.refused({"redis.paramters.hz": 10}, "paramters")
        self.refused({"redis.users.a.rule": "~*"}, "rule")
        self.refused({"sentinel.prt": 1}, "prt")
        self.refused({"persistence.emptyDir.size": "1Gi"}, "emptyDir")

    def test_values_out_of_bounds(self):
        self.refused({"instances": 0}, "instances")
        self.refused({"redis.minReplicas": 16}, "minReplicas")
        self.refused({"sentinel.port": 80}, "port")
        self.refused({"redis.users.a:b.rules": "~*"}, "a:b")
        self.refused({"persistence.size": "10 GB"}, "size")

    def test_what_redis_cannot_promise(self):
        for durability in ("guarded", "strict"):
            self.refused({"mainstay.durability": durability}, "durability")

    def test_what_mainstay_keeps(self):
        for name in ("replicaof", "requirepass", "port", "rename-command", "min-replicas-to-write"):
            self.refused({f"redis.parameters.{name}": "x"}, f"redis.parameters.{name} is kept by Mainstay")

    def test_what_belongs_to_postgresql(self):
        self.refused({"mainstay.metrics.collect[0]": "bloat_table"}, "metrics")
        self.refused({"mainstay.metrics.existingQueries": "x"}, "metrics")

    def test_users(self):
        self.refused({"redis.users.mainstay-agent.rules": "~*"}, "Mainstay's own")
        self.refused({"redis.users.a.rules": "~* >secret"}, "rules")
        self.refused({"redis.users.a.rules": "~* nopass"}, "passwords are told by")
        self.refused({"redis.users.a.rules": "passwords=/etc/x ~*"}, "passwords are told by")
        self.refused({"redis.users.a_b.rules": "~*", "redis.users.a-b.rules": "~*"}, "the same Secret")

    def test_contradictions(self):
        self.refused({"sentinel.existingSecret": "x"}, "sentinel.enabled")


class Family(Case):
    """What the charts share, they share in every word."""

    def test_common_values_and_their_schema(self):
        def load(chart):
            with open(os.path.join(chart, "values.yaml"), encoding="utf-8") as f, open(os.path.join(chart, "values.schema.json"), encoding="utf-8") as g:
                return yaml.safe_load(f), json.load(g)
        (one, schema), (other, their) = load(CHART), load(REDIS)
        for key in sorted(set(one) & set(other) - {"mainstay", "persistence"}):
            with self.subTest(key=key):
                self.assertEqual(schema["properties"][key], their["properties"][key])
        for key in ("quantity", "resources", "amounts", "strings", "service"):
            self.assertEqual(schema["definitions"][key], their["definitions"][key])
        for key in ("service", "networkPolicy", "podDisruptionBudget", "test", "updateStrategy", "topologySpreadConstraints"):
            with self.subTest(key=key):
                self.assertEqual(json.dumps(one[key]).replace("5432", "6379"), json.dumps(other[key]))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
