# One image a program, all of the same layers: docker build --target booking_svc .
#
# The tag moves with the security fixes of Python and Debian. To build the same thing twice, name what
# it points to: --build-arg BASE=python:3.11-slim-bookworm@sha256:…
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
# pip and what makes the wheel stay in a folder of their own, which no image gets.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/holdfast
# Nothing is compiled and nothing is taken whose hash is not written down. Who has an index of packages
# of their own says so with: --secret id=pip,src=pip.conf
COPY requirements.lock requirements-build.lock /src/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /tools/bin/pip install --require-hashes --only-binary :all: -r /src/requirements-build.lock \
    && /tools/bin/pip --python /opt/holdfast/bin/python install \
    --require-hashes --only-binary :all: -r /src/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY auditor /src/auditor
COPY chassis /src/chassis
COPY cli /src/cli
COPY gateway /src/gateway
COPY gen /src/gen
COPY booking_svc /src/booking_svc
COPY inventory_svc /src/inventory_svc
COPY payment_svc /src/payment_svc
RUN /tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel /src \
    && /tools/bin/pip --python /opt/holdfast/bin/python install --no-index --no-deps /wheel/*.whl

FROM ${BASE} AS runtime
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Holdfast" \
    org.opencontainers.image.description="Bookings that are paid for exactly once" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}"
RUN groupadd --gid 10001 holdfast && useradd --uid 10001 --gid 10001 --no-log-init \
    --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin holdfast
# It belongs to root: the program cannot change itself.
COPY --from=build /opt/holdfast /opt/holdfast
# Nothing is written but to a database, and nothing is imported but what is installed.
ENV PATH=/opt/holdfast/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1
# They listen on every address of their container. Who gives them certificates sets it to false.
ENV TLS_PLAINTEXT_BEYOND_LOOPBACK=true
WORKDIR /
# By number, so that whoever starts it can see that it is not root.
USER 10001:10001
# A stop in order; see *_SHUTDOWN_GRACE_S for how long it may take.
STOPSIGNAL SIGTERM

FROM runtime AS inventory_svc
LABEL org.opencontainers.image.title="Holdfast inventory"
ENV INVENTORY_LISTEN=0.0.0.0:50053
EXPOSE 50053
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "inventory_svc", "health"]
ENTRYPOINT ["python", "-m", "inventory_svc"]

FROM runtime AS payment_svc
LABEL org.opencontainers.image.title="Holdfast payments"
ENV PAYMENT_LISTEN=0.0.0.0:50052
EXPOSE 50052
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "payment_svc", "health"]
ENTRYPOINT ["python", "-m", "payment_svc"]

FROM runtime AS booking_svc
LABEL org.opencontainers.image.title="Holdfast bookings"
ENV BOOKING_LISTEN=0.0.0.0:50051
EXPOSE 50051
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "booking_svc", "health"]
ENTRYPOINT ["python", "-m", "booking_svc"]

FROM runtime AS gateway
LABEL org.opencontainers.image.title="Holdfast gateway"
ENV GATEWAY_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "gateway", "health"]
ENTRYPOINT ["python", "-m", "gateway"]

# The command line, and the auditor with --entrypoint python … -m auditor.
FROM runtime AS holdfast
LABEL org.opencontainers.image.title="Holdfast command line"
ENTRYPOINT ["holdfast"]
