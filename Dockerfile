# One image for every process: the services, `ringvault`, the simulator and the demonstration's check.
#
#   docker build --tag ringvault .
#   docker run --rm ringvault                                  what the operator's command can do
#   docker run --rm --env-file … ringvault python -m services.downloader
#   docker build --target sbom --output dist .                 dist/sbom.json: what is installed in it (make sbom)
#
# The tag of the base fixes Python's minor version and the Debian release. For the very same bytes on each machine, name
# a digest of your registry: --build-arg BASE=python:3.13-slim-trixie@sha256:…

ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What runs and what builds are two environments, so that no build tool, pip included, is in the first one.
RUN python3 -m venv --without-pip /opt/ringvault && python3 -m venv /opt/builder
COPY requirements/run.txt requirements/
RUN /opt/builder/bin/pip --python /opt/ringvault/bin/python install --no-compile \
        --require-hashes -r requirements/run.txt

# The build backend and what it needs, with the versions and hashes of the lock for developing. When a new version
# needs one more, pip refuses to go on and names it.
COPY requirements/dev.txt requirements/
RUN awk '/^[a-z]/ { wanted = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } wanted' \
        requirements/dev.txt >requirements/build.txt \
 && /opt/builder/bin/pip install --require-hashes -r requirements/build.txt

COPY pyproject.toml README.md ./
COPY cli/ cli/
COPY common/ common/
COPY demo/ demo/
COPY private_servers/ private_servers/
COPY services/ services/
COPY simulator/ simulator/
RUN /opt/builder/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir dist . \
 && /opt/builder/bin/pip --python /opt/ringvault/bin/python install --no-compile --no-deps --no-index dist/*.whl

# Byte code is made here, because the root file system is read-only where the image runs; it holds no times, so that
# two builds of one commit are equal.
RUN /opt/ringvault/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/ringvault/lib


# What lists the contents is heavier than the contents: a stage of its own, that nothing else is made from.
FROM builder AS lister
COPY requirements/sbom.txt requirements/
RUN python3 -m venv /opt/lister && /opt/lister/bin/pip install --require-hashes -r requirements/sbom.txt
RUN /opt/lister/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
        --output-file /sbom.json /opt/ringvault/bin/python

FROM scratch AS sbom
COPY --from=lister /sbom.json /


FROM ${BASE}
# A number without an account: that is all a cluster needs to see that it is not root.
ARG USER_ID=10001

# The base image brings pip along, where Python's own image has it or where Debian has it; nothing here needs it.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* \
        /usr/bin/pip* /usr/lib/python3/dist-packages/pip* \
 # A new volume that is mounted here takes over the owner; everything else belongs to root.
 && install -d -o ${USER_ID} -g ${USER_ID} -m 0700 /var/lib/ringvault/spool

COPY --from=builder /opt/ringvault /opt/ringvault
ENV PATH=/opt/ringvault/bin:$PATH LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

USER ${USER_ID}:${USER_ID}
WORKDIR /opt/ringvault
# The receiver's endpoint; and /livez, /readyz and /metrics of every service.
EXPOSE 8080 9090
# Of the services; what is no service turns it off. Unhealthy means: it waits for something, which its log and /readyz
# name. Nobody restarts it for that. Each look starts a Python, which takes its time on a busy machine.
HEALTHCHECK --interval=5s --timeout=15s --retries=5 --start-period=60s \
    CMD ["python", "-c", "import os; from urllib.request import urlopen; \
urlopen('http://127.0.0.1:' + os.environ.get('ADMIN_PORT', '9090') + '/readyz', timeout=3)"]
CMD ["ringvault", "--help"]

ARG BASE
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ringvault" \
      org.opencontainers.image.description="Every recorded RingCentral call in your own storage and your own Postgres" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
