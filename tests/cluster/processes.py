"""A Kubernetes control plane as processes on loopback.

etcd, the API server with RBAC on, the controllers, the scheduler, and kwok for nodes that exist on
paper only: they take pods and make them ready. All of it is the real thing but the kubelet, and of
that the port-forwarding is: it leads from ports of any pod to ports of this machine.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.cluster.api import Api, Json, eventually
from tests.cluster.programs import Program, free_port

USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kwok": ("kwok", "system:masters"),
}
"""Each program's user and group: RBAC's own roles for the controllers and the scheduler."""
NODES = 3
POD_PORTS = (5000, 8080)
SERVICE_RANGE = "10.96.0.0/16"


class ControlPlane:
    """The processes of one cluster.

    Args:
        programs: the folder with the built programs.
        root: where certificates, data and logs go.
    """

    def __init__(self, programs: Path, root: Path) -> None:
        self.root = root
        self._programs = programs
        self._etcd, self._peer, self._port = free_port(), free_port(), free_port()
        self._kubelet = free_port()
        self.forwards = {port: free_port() for port in POD_PORTS}
        """By the ports of pods that can be forwarded: where each leads on this machine."""
        self.authenticator = free_port()
        """Where somebody may answer whose token it is that nobody here knows."""
        self._tokens = {name: secrets.token_urlsafe(24) for name in USERS}
        self._write_secrets()
        self._context = ssl.create_default_context(cafile=str(root / "ca.crt"))
        self.server = f"https://127.0.0.1:{self._port}"
        self.apiserver = self._program("kube-apiserver", self._apiserver_flags(), self._answers)
        self._parts = [
            self._program("etcd", self._etcd_flags()),
            self.apiserver,
            self._program("kube-controller-manager", self._manager_flags()),
            self._program("kube-scheduler", self._scheduler_flags()),
            self._program("kwok", self._kwok_flags()),
        ]

    def start(self) -> Api:
        """Start it; an administrator's view when pods can be scheduled."""
        etcd, apiserver, *others = self._parts
        etcd.start()
        apiserver.start()
        apiserver.wait_ready()
        for one in others:
            one.start()
        api = Api(self.kubeconfig("admin"))
        for number in range(NODES):
            api.apply(node(f"node-{number}"))
        eventually(lambda: self._nodes_ready(api), "every node ready")
        eventually(
            lambda: api.get("v1", "ServiceAccount", "default", "default"), "controllers at work"
        )
        return api

    def stop(self) -> None:
        """End all of it, the API server before its data."""
        for one in reversed(self._parts):
            one.kill() if one.name in ("kwok", "kube-apiserver") else one.stop()

    def kubeconfig(self, user: str, token: str | None = None) -> Path:
        """A kubeconfig file with a user's token."""
        path = self.root / f"{user}.kubeconfig"
        write_kubeconfig(path, self.server, self.root / "ca.crt", token or self._tokens[user])
        return path

    def _nodes_ready(self, api: Api) -> bool:
        ready = [
            condition["status"] == "True"
            for one in api.list("v1", "Node")
            for condition in one.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready"
        ]
        return len(ready) == NODES and all(ready)

    def _answers(self) -> bool:
        request = urllib.request.Request(
            f"{self.server}/readyz", headers={"Authorization": f"Bearer {self._tokens['admin']}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=2, context=self._context) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _program(
        self, name: str, flags: Mapping[str, object], ready: Callable[[], bool] = lambda: True
    ) -> Program:
        words = [f"--{key}={value}" for key, value in flags.items()]
        command = [str(self._programs / name), *words]
        return Program(name, command, log=self.root / f"{name}.log", ready=ready)

    def _etcd_flags(self) -> dict[str, object]:
        return {
            "data-dir": self.root / "etcd",
            "listen-client-url": f"http://127.0.0.1:{self._etcd}",
            "listen-peer-url": f"http://127.0.0.1:{self._peer}",
        }

    def _apiserver_flags(self) -> dict[str, object]:
        return {
            "etcd-servers": f"http://127.0.0.1:{self._etcd}",
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            # Endpoints may not be on loopback: nobody looks for this server by its service.
            "endpoint-reconciler-type": "none",
            "secure-port": self._port,
            "tls-cert-file": self.root / "server.crt",
            "tls-private-key-file": self.root / "server.key",
            "token-auth-file": self.root / "tokens.csv",
            "authorization-mode": "RBAC",
            "anonymous-auth": "false",
            "kubelet-preferred-address-types": "InternalIP",
            "authentication-token-webhook-config-file": self.root / "authenticator.yaml",
            "authentication-token-webhook-version": "v1",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": self.root / "accounts.key",
            "service-account-signing-key-file": self.root / "accounts.key",
            "service-cluster-ip-range": SERVICE_RANGE,
            "shutdown-delay-duration": "0s",
        }

    def _manager_flags(self) -> dict[str, object]:
        return {
            "kubeconfig": self.kubeconfig("kube-controller-manager"),
            # kwok's nodes have no leases and report every few minutes: without this they are taken
            # for dead, and so are the pods on them, which no kubelet ever makes ready again.
            "node-monitor-grace-period": "24h",
            "horizontal-pod-autoscaler-sync-period": "1s",
            "service-account-private-key-file": self.root / "accounts.key",
            "root-ca-file": self.root / "ca.crt",
            "use-service-account-credentials": "true",
            "leader-elect": "false",
            "secure-port": 0,
        }

    def _scheduler_flags(self) -> dict[str, object]:
        return {
            "kubeconfig": self.kubeconfig("kube-scheduler"),
            "leader-elect": "false",
            "secure-port": 0,
        }

    def _kwok_flags(self) -> dict[str, object]:
        return {
            "kubeconfig": self.kubeconfig("kwok"),
            "manage-all-nodes": "true",
            "config": self.root / "kwok.yaml",
            "node-ip": "127.0.0.1",
            "node-port": self._kubelet,
            "server-address": f"127.0.0.1:{self._kubelet}",
        }

    def _forwards(self) -> Json:
        """What kwok's kubelet does with a port that is to be forwarded."""
        return {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterPortForward",
            "metadata": {"name": "here"},
            "spec": {
                "forwards": [
                    {"ports": [port], "target": {"address": "127.0.0.1", "port": here}}
                    for port, here in self.forwards.items()
                ]
            },
        }

    def _write_secrets(self) -> None:
        """Certificates, keys and tokens of this cluster; made new for each."""
        write_certificates(self.root)
        _write(self.root / "kwok.yaml", yaml.safe_dump(self._forwards()).encode())
        webhook = f"http://127.0.0.1:{self.authenticator}"
        write_kubeconfig(self.root / "authenticator.yaml", webhook, None, "none")
        rows = [
            f'{self._tokens[name]},{user},{name},"{group}"' for name, (user, group) in USERS.items()
        ]
        _write(self.root / "tokens.csv", "\n".join(rows).encode())
        accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        _write(self.root / "accounts.key", _pem(accounts))


def node(name: str) -> Json:
    """A node on paper."""
    capacity = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "status": {"allocatable": capacity, "capacity": capacity},
    }


def write_kubeconfig(path: Path, server: str, authority: Path | None, token: str) -> None:
    """A kubeconfig with one context: this server, this token."""
    trusted = {"certificate-authority": str(authority)} if authority else {}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "clusters": [
            {
                "name": "tests",
                "cluster": {"server": server, **trusted},
            }
        ],
        "users": [{"name": "tests", "user": {"token": token}}],
    }
    _write(path, yaml.safe_dump(document).encode())


def write_certificates(root: Path) -> None:
    """An authority of our own, and the server's certificate."""
    authority, key = _certificate("millwright-tests", None, None)
    server, server_key = _certificate("127.0.0.1", authority, key)
    _write(root / "ca.crt", authority.public_bytes(serialization.Encoding.PEM))
    _write(root / "server.crt", server.public_bytes(serialization.Encoding.PEM))
    _write(root / "server.key", _pem(server_key))


def _certificate(
    name: str, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate; of an authority when there is no issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer_key or key
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.DNSName("kubernetes.default.svc")]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=issuer is None,
                crl_sign=issuer is None,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.SubjectAlternativeName(
                [*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
    )
    return builder.sign(signer, hashes.SHA256()), key


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
