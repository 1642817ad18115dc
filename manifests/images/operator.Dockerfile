# The operator of ModelRollouts.
#   docker build -f manifests/images/operator.Dockerfile -t REGISTRY/operator:VERSION .
# manifests/operator/deployment.yaml runs it as user 10001 on a read-only file system.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS packages
COPY manifests/images/operator.txt /packages.txt
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r /packages.txt

FROM python:${PYTHON}
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/millwright
COPY contracts contracts
COPY serving/__init__.py serving/__init__.py
COPY serving/metrics.py serving/metrics.py
COPY serving/rollout serving/rollout
RUN /opt/venv/bin/python -m compileall -q contracts serving
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["python", "-m", "serving.rollout.operator"]
