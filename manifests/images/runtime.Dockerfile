# The model server: Open Inference Protocol (V2) over ONNX Runtime, one version of one model a pod.
#   docker build -f manifests/images/runtime.Dockerfile -t REGISTRY/runtime:VERSION .
# Seldon gives the container its arguments (serving/rollout/seldon.py), runs it as user 10001 on a
# read-only file system, and lets it drain with /bin/sleep: a base without a shell would not do.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS packages
COPY manifests/images/runtime.txt /packages.txt
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r /packages.txt

FROM python:${PYTHON}
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/millwright
COPY contracts contracts
COPY serving/__init__.py serving/__init__.py
COPY serving/metrics.py serving/metrics.py
COPY serving/runtime serving/runtime
RUN /opt/venv/bin/python -m compileall -q contracts serving
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 9000
ENTRYPOINT ["python", "-m", "serving.runtime"]
