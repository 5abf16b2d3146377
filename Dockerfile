# The service in a container. Linted with hadolint; not built here: there was no container engine on that machine.
#   docker build -t snowmelt .
#   docker run -p 127.0.0.1:8000:8000 -v /path/to/catalogues:/catalogues:ro -v snowmelt-people:/people \
#     -e SNOWMELT_MASTER_KEY snowmelt /catalogues/films
# It binds to all addresses of the container, so it wants an API key first:
#   docker run --rm -v snowmelt-people:/people -e SNOWMELT_MASTER_KEY --entrypoint snowmelt snowmelt keys add shop --users /people/people.db
FROM python:3.11-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# llama.cpp for any processor with AVX2, and only the parts that are needed (see the Makefile)
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_COMMON=OFF -DMTMD_BUILD=OFF -DLLAVA_BUILD=OFF"
RUN python -m venv /opt/snowmelt && /opt/snowmelt/bin/pip install --no-cache-dir '.[local,serve,postgres]'

FROM python:3.11-slim-bookworm
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 snowmelt && install -d -o snowmelt -g snowmelt -m 700 /people
COPY --from=build /opt/snowmelt /opt/snowmelt
ENV PATH=/opt/snowmelt/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/snowmelt
VOLUME /people
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v1/health', timeout=2)"]
# TLS is the business of the proxy in front of it
ENTRYPOINT ["snowmelt", "serve", "--host", "0.0.0.0", "--behind-proxy", "--users", "/people/people.db"]
CMD ["/catalogues/items"]
