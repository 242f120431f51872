# One static binary on nothing: docker build -t deltaglider .

ARG RUST_VERSION=1.95.0
FROM rust:${RUST_VERSION}-bookworm AS build
ARG RUST_VERSION
# The image has this one toolchain, without the components that rust-toolchain.toml asks for.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
WORKDIR /deltaglider
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends musl-tools \
 && rm -rf /var/lib/apt/lists/* \
 && rustup target add "$(uname -m)-unknown-linux-musl"
COPY . .
# What cargo fetched and compiled stays for the next build, whatever changed in the sources.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/deltaglider/target,sharing=locked \
    scripts/build-static --musl \
 && install -D -m 0555 dist/deltaglider /image/deltaglider \
 && install -D -m 0444 -t /image/licences LICENSE-MIT LICENSE-APACHE \
 && install -d -m 1777 /image/tmp

FROM scratch
LABEL org.opencontainers.image.title="deltaglider" \
      org.opencontainers.image.description="Keeps many versions of large files in S3-compatible object storage at the cost of one" \
      org.opencontainers.image.source="https://github.com/deltaglider/deltaglider-rs" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The binary, its licences, and a /tmp that every user may write to, since work that is too large for memory goes there.
COPY --from=build /image/ /
ENV TMPDIR=/tmp
USER 65532:65532
ENTRYPOINT ["/deltaglider"]
