# The steps of a pipeline: Kubeflow Pipelines starts each in a container of this image.
#   millwright images build --image pipelines
# It brings its own command, which looks for sh and python3 on the PATH and writes to /tmp; all else
# may be read-only.
ARG BASE=docker.io/library/python:3.11.14-slim-bookworm

FROM ${BASE} AS packages
COPY manifests/images/building.txt /building.txt
COPY manifests/images/pipelines.txt /packages.txt
# The builder's own settings of pip, for a mirror of PyPI, are in no layer. kfp-server-api has no
# wheel: it is built here, by tools whose hashes are known as well.
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/build && python3 -m venv --without-pip /opt/venv \
 && export PIP_CONFIG_FILE=/run/secrets/pip.conf PIP_NO_DEPS=1 PIP_ONLY_BINARY=:all: \
 && /opt/build/bin/pip install --require-hashes -r /building.txt \
 && /opt/build/bin/pip wheel --require-hashes --no-binary kfp-server-api --no-build-isolation \
    --wheel-dir /wheels -r /packages.txt \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-index /wheels/*.whl

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
COPY data data
COPY components components
RUN /opt/venv/bin/python -m compileall -q contracts data components
# A user without an entry in /etc/passwd has no name but the one that is given, and no home; ONNX
# Runtime 1.32 reports to its maker, and keeps a device's identifier, unless told not to. Threads that
# wait by spinning take the processor from what they wait for, where a pod has a share of one.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 \
    OMP_WAIT_POLICY=PASSIVE \
    PYTHONPATH=/opt/millwright USER=millwright HOME=/tmp
USER 10001:10001
CMD ["python3", "-m", "kfp.dsl.executor_main", "--help"]
