"""SeldonClient speaks Seldon's own protocol alone; ours is V2, so it is refused, in words."""

import sys
from urllib.parse import urlsplit

import requests
from seldon_core.seldon_client import SeldonClient

url, model, _ = sys.argv[1:]
client = SeldonClient(
    deployment_name=model,
    namespace="default",
    gateway="istio",
    gateway_endpoint=urlsplit(url).netloc,
)
answer = client.predict()
assert not answer.success
assert answer.msg == "404:Not Found", answer.msg
said = requests.post(f"{url}/api/v1.0/predictions", json={}).json()["error"]
assert "v2/models" in said, said
