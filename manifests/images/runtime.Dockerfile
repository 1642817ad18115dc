# The model server: Open Inference Protocol (V2) over ONNX Runtime, one version of one model a pod.
#   millwright images build --image runtime
# Seldon gives the container its arguments (serving/rollout/pods.py), runs it as user 10001 on a
# read-only file system, and lets it drain with /bin/sleep: a base without a shell would not do.
ARG BASE=docker.io/library/python:3.11.14-slim-bookworm

FROM ${BASE} AS packages
COPY manifests/images/runtime.txt /packages.txt
# The builder's own settings of pip, for a mirror of PyPI; they are in no layer.
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/build && python3 -m venv --without-pip /opt/venv \
 && PIP_CONFIG_FILE=/run/secrets/pip.conf /opt/build/bin/pip --python /opt/venv/bin/python \
    install --no-deps --only-binary :all: --require-hashes -r /packages.txt

FROM ${BASE}
# What a base has for building: nothing that runs needs it.
RUN find /usr \( -path '*/bin/pip' -o -path '*/bin/pip[0-9]*' -o -path '*/python3*/ensurepip' \
    -o -path '*-packages/pip*' -o -path '*-packages/setuptools*' -o -path '*-packages/wheel*' \
    -o -path '*-packages/pkg_resources' -o -path '*-packages/_distutils_hack' \
    -o -path '*-packages/distutils-precedence.pth' -o -path /usr/share/python-wheels \) \
    -prune -exec rm -rf {} +
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/millwright
COPY contracts contracts
COPY serving/__init__.py serving/__init__.py
COPY serving/bodies.py serving/bodies.py
COPY serving/metrics.py serving/metrics.py
COPY serving/protocol.py serving/protocol.py
COPY serving/runtime serving/runtime
RUN /opt/venv/bin/python -m compileall -q contracts serving
# ONNX Runtime 1.32 reports to its maker, and keeps a device's identifier, unless told not to.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1
USER 10001:10001
EXPOSE 9000 9500
ENTRYPOINT ["python", "-m", "serving.runtime"]
