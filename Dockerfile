# syntax=docker/dockerfile:1
# The server and PayPal's stand-in, each as an image of its own:
#   docker build --target bodega -t bodega .
#   docker build --target paypal-simulator -t paypal-simulator .
# MongoDB is never inside: set BODEGA__MONGODB__URI.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY config config
COPY tests tests
COPY benches benches
COPY web web
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bins && \
    mkdir -p /out/simulator /out/images && \
    cp target/release/bodega target/release/paypal-simulator /out/

# glibc, libgcc and nothing else: no shell, and a user that is not root (65532).
FROM gcr.io/distroless/cc-debian12:nonroot AS paypal-simulator
COPY --from=build /out/paypal-simulator /usr/local/bin/paypal-simulator
# A volume mounted here inherits its owner.
COPY --from=build --chown=65532:65532 /out/simulator /var/lib/paypal-simulator
USER 65532:65532
EXPOSE 8090
ENTRYPOINT ["/usr/local/bin/paypal-simulator"]
CMD ["--bind", "0.0.0.0:8090"]

FROM gcr.io/distroless/cc-debian12:nonroot AS bodega
COPY --from=build /out/bodega /usr/local/bin/bodega
# A volume mounted here inherits its owner.
COPY --from=build --chown=65532:65532 /out/images /var/lib/bodega/images
COPY config /etc/bodega
ENV BODEGA_CONFIG_DIR=/etc/bodega \
    BODEGA__SERVER__BIND=0.0.0.0:8080 \
    BODEGA__LOG__FORMAT=json
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/bodega", "health"]
ENTRYPOINT ["/usr/local/bin/bodega"]
CMD ["serve"]
