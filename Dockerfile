# The image of both programs: nothing but them, the C library and certificates; no shell; without
# root. Built by `docker build -t millrace .`; where there is no engine, by `cargo xtask image`.

FROM docker.io/library/node:22-bookworm-slim AS node

FROM docker.io/library/rust:1.95-bookworm AS build
# The build bundles the dashboard.
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /millrace
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/millrace/target \
    cargo build --locked --profile dist --package millrace --package millrace-operator \
    && mkdir /programs \
    && cp target/dist/millrace target/dist/millrace-operator /programs/

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /programs/ /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/millrace"]
