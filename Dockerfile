# The CPU image is the default; for a GPU: docker build --build-arg TORCH=cu128 .
#   docker build -t growlm . && docker run --rm -v growlm-runs:/runs growlm demo
#   docker run --rm --gpus all --user "$(id -u)" -v "$PWD:/data" -w /data growlm run recipe.toml
FROM python:3.12-slim

ARG TORCH=cpu
# Layers are compiled by a C++ compiler on a CPU, and by Triton, which wants one too, on a GPU.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /growlm
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY recipes recipes
RUN pip install --no-cache-dir torch --index-url "https://download.pytorch.org/whl/${TORCH}" \
    && pip install --no-cache-dir ".[hf,fast]"

RUN useradd --create-home grower && mkdir /runs && chown grower /runs
USER grower
WORKDIR /
ENTRYPOINT ["growlm"]
CMD ["--help"]
