# Timbre's image: the two binaries and their shared libraries, nothing else.
#   script/image                        builds it
#   podman run -p 7400:7400 -p 7401:7401 -v voices:/data timbre
# BASE is the Debian that is built on and taken the libraries from.
ARG BASE=docker.io/library/debian:13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY script/bootstrap script/bootstrap
RUN script/bootstrap
COPY . .
RUN script/build -DTIMBRE_TESTS=OFF && script/collect-runtime /runtime

FROM scratch
COPY --from=build /runtime/ /
# nobody's number: no name is needed to run.
USER 65532:65532
ENV TIMBRE_SERVER=127.0.0.1:7400
VOLUME /data
EXPOSE 7400 7401
# SIGTERM drains (--drain_timeout, 15 s by default).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["/usr/bin/timbre", "health"]
ENTRYPOINT ["/usr/bin/timbred", "--data_dir=/data", "--listen=[::]:7400", "--metrics_listen=[::]:7401"]
