# One file, a target for each part:
#
#   docker build --target sensor     -t tunnelwatch-sensor .
#   docker build --target correlator -t tunnelwatch-correlator .
#
# The image of a part holds its own dependencies only: no SQL stack beside the tap, no libpcap on the bastion host,
# and no compiler on either. Counters for Prometheus are in both, and off unless they are asked for.
ARG BASE=debian:bookworm-slim

# ---- build: compilers, and wheels of what has no fitting wheel elsewhere ------------------------------------------
FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates gcc libc6-dev libpcap-dev python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/build.txt requirements/pypcap.txt requirements/
COPY scripts/install-pypcap scripts/
RUN python3 -m venv /build \
    && /build/bin/python -m pip install --quiet --require-hashes -r requirements/build.txt \
    && scripts/install-pypcap /build/bin/python --wheel /wheels
COPY pyproject.toml README.md LICENSE ./
COPY common common
COPY sensor sensor
COPY correlator correlator
RUN /build/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /wheels .

FROM build AS sensor-environment
COPY requirements/sensor.txt requirements/metrics.txt requirements/
# --copies: the sensor's interpreter is a file of its own, so that it alone can be given a capability.
RUN python3 -m venv --copies --without-pip /opt/tunnelwatch \
    && /build/bin/python -m pip --python /opt/tunnelwatch/bin/python3 install --quiet --require-hashes \
        -r requirements/sensor.txt -r requirements/metrics.txt \
    && /build/bin/python -m pip --python /opt/tunnelwatch/bin/python3 install --quiet --no-index --no-deps /wheels/*.whl

FROM build AS correlator-environment
COPY requirements/correlator.txt requirements/metrics.txt requirements/
RUN python3 -m venv --without-pip /opt/tunnelwatch \
    && /build/bin/python -m pip --python /opt/tunnelwatch/bin/python3 install --quiet --require-hashes \
        -r requirements/correlator.txt -r requirements/metrics.txt \
    && /build/bin/python -m pip --python /opt/tunnelwatch/bin/python3 install --quiet --no-index --no-deps /wheels/tunnelwatch-*.whl

# ---- what both parts run on ---------------------------------------------------------------------------------------
FROM ${BASE} AS runtime
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 5690 tunnelwatch \
    && useradd --system --uid 5690 --gid tunnelwatch --home-dir /nonexistent --shell /usr/sbin/nologin tunnelwatch \
    && install -d -o tunnelwatch -g tunnelwatch -m 0750 /run/tunnelwatch /data
# The directory of a script never goes before the installed packages.
ENV PATH=/opt/tunnelwatch/bin:$PATH PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1
WORKDIR /data

# ---- sensor -------------------------------------------------------------------------------------------------------
FROM runtime AS sensor
COPY --from=sensor-environment /opt/tunnelwatch /opt/tunnelwatch
# The capability is on the interpreter, so that the sensor captures without ever being root. A container that is
# not given NET_RAW cannot start it: every way to run this image keeps that one capability.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libcap2-bin libpcap0.8 \
    && setcap cap_net_raw=ep "$(readlink -f /opt/tunnelwatch/bin/python3)" \
    && apt-get purge -y --auto-remove libcap2-bin \
    && rm -rf /var/lib/apt/lists/*
USER tunnelwatch
VOLUME /data
ENTRYPOINT ["tunnelwatch-sensor"]
CMD ["--help"]

# ---- correlator ---------------------------------------------------------------------------------------------------
FROM runtime AS correlator
COPY --from=correlator-environment /opt/tunnelwatch /opt/tunnelwatch
ENV TUNNELWATCH_DB=/data/tunnelwatch.db
USER tunnelwatch
VOLUME /data
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["tunnelwatch", "sensors", "--json"]
ENTRYPOINT ["tunnelwatch"]
CMD ["--help"]
