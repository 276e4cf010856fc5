"""A small Kubernetes client for tests: JSON over HTTPS, one connection a call, every call with a time limit.

    api = Api("https://127.0.0.1:6443", "/.../ca.crt", token)
    api.get("/api/v1/namespaces/default/pods")["items"]
    api.create("/api/v1/namespaces/default/configmaps", {...})

An answer of 400 and above is an ApiError with .status and .reason. No connection or no answer in time is an OSError.
netns: the namespace in which the server listens (the connection's socket is made there).
"""
import contextlib
import http.client
import json
import socket
import ssl
import time
import urllib.parse

import shell

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


class ApiError(Exception):
    """The server's refusal."""

    def __init__(self, method, path, status, body):
        self.status = status
        self.reason = body.get("reason", "") if isinstance(body, dict) else ""
        message = body.get("message", "") if isinstance(body, dict) else str(body)
        super().__init__(f"{method} {path}: {status} {self.reason}: {message[:500]}")


class Api:
    """One server, one identity."""

    def __init__(self, server, ca, token=None, netns=None, timeout=5):
        url = urllib.parse.urlsplit(server)
        self.server, self.host, self.port = server, url.hostname, url.port or 443
        self.ca, self.token, self.netns, self.timeout = ca, token, netns, timeout
        self.tls = ssl.create_default_context(cafile=ca)

    def as_token(self, token):
        """The same server with another identity."""
        return Api(self.server, self.ca, token, self.netns, self.timeout)

    def request(self, method, path, body=None, kind="application/json", timeout=None):
        """Status and body; for whom a refusal is an answer like any other."""
        timeout = timeout or self.timeout
        with shell.inside(self.netns) if self.netns else contextlib.nullcontext():
            raw = socket.create_connection((self.host, self.port), timeout=timeout)
        raw.settimeout(timeout)
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)
        with contextlib.closing(connection), contextlib.closing(raw):
            connection.sock = self.tls.wrap_socket(raw, server_hostname=self.host)
            headers = {"Accept": "application/json"}
            if self.token:
                headers["Authorization"] = "Bearer " + self.token
            data = None
            if body is not None:
                headers["Content-Type"] = kind
                data = json.dumps(body).encode()
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode("utf-8", "replace")

    def _must(self, method, path, body=None, **more):
        status, answer = self.request(method, path, body, **more)
        if status >= 400:
            raise ApiError(method, path, status, answer)
        return answer

    def get(self, path, **more):
        return self._must("GET", path, **more)

    def create(self, path, body, **more):
        return self._must("POST", path, body, **more)

    def replace(self, path, body, **more):
        return self._must("PUT", path, body, **more)

    def patch(self, path, body, kind=MERGE, **more):
        return self._must("PATCH", path, body, kind=kind, **more)

    def delete(self, path, body=None, **more):
        return self._must("DELETE", path, body, **more)

    def apply(self, path, body):
        """Server-side apply: creates or changes, whatever was there."""
        return self.patch(path + "?fieldManager=bed&force=true", body, kind=APPLY)

    def service_account_token(self, namespace, account, seconds=3600):
        """What a pod of this account has at /var/run/secrets/kubernetes.io/serviceaccount/token."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
        return self.create(path, request)["status"]["token"]

    def ready(self):
        try:
            return self.request("GET", "/readyz", timeout=2)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_ready(self, timeout, alive=lambda: True):
        """Until /readyz says so. ALIVE says whether waiting still makes sense. False: late, or dead."""
        end = time.clock_gettime(time.CLOCK_BOOTTIME) + timeout
        while not self.ready():
            if time.clock_gettime(time.CLOCK_BOOTTIME) > end or not alive():
                return False
            time.sleep(0.1)
        return True
