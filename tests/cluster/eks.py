"""EKS as the command line meets it, before this machine's control plane.

An emulator of AWS says where the cluster is, and the API server asks an authenticator whose token
it was sent, as on EKS: the token is a signed request, which the authenticator makes to learn who
signed it. Only the signature itself is not checked, for the emulator takes any.

Source: https://github.com/kubernetes-sigs/aws-iam-authenticator (API authorization from outside a
cluster)
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
from moto.eks.models import eks_backends
from moto.server import ThreadedMotoServer

from tests.cluster.api import Json
from tests.cluster.processes import ControlPlane

ACCOUNT = "123456789012"
REGION = "eu-central-1"
CLUSTER = "millwright-dev-cluster"
GROUP = "eks-users"
"""What everybody of the account belongs to in the cluster, by an access entry, say."""
PREFIX = "k8s-aws-v1."


@contextmanager
def emulated(plane: ControlPlane) -> Iterator[str]:
    """An AWS whose EKS has the cluster; gives its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    eks = boto3.client(
        "eks",
        region_name=REGION,
        endpoint_url=address,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    eks.create_cluster(
        name=CLUSTER,
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/cluster",
        resourcesVpcConfig={"subnetIds": []},
    )
    cluster = eks_backends[ACCOUNT][REGION].clusters[CLUSTER]
    authority = (plane.root / "ca.crt").read_bytes()
    cluster.endpoint = plane.server
    cluster.certificate_authority = {"data": base64.b64encode(authority).decode()}
    authenticator = ThreadingHTTPServer(
        ("127.0.0.1", plane.authenticator), authenticator_of(address, CLUSTER)
    )
    threading.Thread(target=authenticator.serve_forever, daemon=True).start()
    try:
        yield address
    finally:
        authenticator.shutdown()
        authenticator.server_close()
        eks.delete_cluster(name=CLUSTER)  # it is this process's, not the server's
        server.stop()


def authenticator_of(aws: str, cluster: str) -> type[BaseHTTPRequestHandler]:
    """Answers TokenReviews for a cluster by asking AWS."""

    class Authenticator(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            review: Json = json.loads(self.rfile.read(length))
            arn = caller(review["spec"]["token"], aws, cluster)
            user = {"username": arn, "uid": arn, "groups": [GROUP]}
            review["status"] = {"authenticated": True, "user": user} if arn else {}
            body = json.dumps(review).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    return Authenticator


def caller(token: str, aws: str, cluster: str) -> str:
    """Whose token it is; empty where it is none for this cluster."""
    text = token.removeprefix(PREFIX)
    if text == token:
        return ""
    url = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    asked = parse_qs(urlsplit(url).query)
    signed = asked.get("X-Amz-SignedHeaders", [""])[0].split(";")
    lasting = int(asked.get("X-Amz-Expires", ["0"])[0])
    if not url.startswith(aws) or "x-k8s-aws-id" not in signed or not 0 < lasting <= 900:
        return ""
    # The emulator learns the service from this header only: the same signature, said there.
    parts = {
        "Credential": asked["X-Amz-Credential"][0],
        "SignedHeaders": ";".join(signed),
        "Signature": asked["X-Amz-Signature"][0],
    }
    said = ", ".join(f"{name}={value}" for name, value in parts.items())
    authorization = f"AWS4-HMAC-SHA256 {said}"
    headers = {"x-k8s-aws-id": cluster, "Authorization": authorization}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = re.search(r"<Arn>(.*?)</Arn>", answer.read().decode())
    except urllib.error.URLError:
        return ""
    return found[1] if found else ""


def stand_in(folder: Path) -> Path:
    """An executable `aws` that knows `eks get-token`, as the AWS CLI answers it."""
    path = folder / "aws"
    path.write_text(
        f"""#!{sys.executable}
import json, sys
import boto3
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from project.cluster import token
words = sys.argv[1:]
region, cluster = words[words.index("--region") + 1], words[words.index("--cluster-name") + 1]
assert "get-token" in words, words
print(json.dumps({{
    "kind": "ExecCredential",
    "apiVersion": "client.authentication.k8s.io/v1beta1",
    "spec": {{}},
    "status": {{"token": token(boto3.Session(), region, cluster)}},
}}))
"""
    )
    path.chmod(0o755)
    return path
