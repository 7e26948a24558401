# docker build -t forgetting .                                                                for CPUs
# docker build -t forgetting:cuda --build-arg TORCH_INDEX=https://pypi.org/simple .           for NVIDIA GPUs
# docker run --rm -v "$PWD:/data" forgetting demo                               with --gpus all for the second
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS built
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir build==1.3.0 && python -m build --wheel --outdir /dist .

FROM python:${PYTHON}-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /tmp/install
COPY constraints.txt ./
COPY --from=built /dist dist
RUN pip install --index-url "${TORCH_INDEX}" "$(grep ^torch== constraints.txt)" \
    && pip install -c constraints.txt dist/*.whl \
    && pip check
RUN useradd --create-home --uid 1000 forget && mkdir /data && chown forget /data
USER 1000
WORKDIR /data
ENTRYPOINT ["forget"]
CMD ["--help"]
