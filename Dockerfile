# The CPU image is the default; for a GPU: docker build --build-arg TORCH=cu130 .
#   docker build -t growlm . && docker run --rm -v growlm-runs:/runs growlm demo
#   docker run --rm --gpus all --user "$(id -u)" -v "$PWD:/data" -w /data growlm run recipe.toml
FROM python:3.12-slim

ARG TORCH=cpu
# Layers are compiled by a C++ compiler on a CPU, and by Triton, which wants one too, on a GPU.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
# Before the code, which changes more often than torch does.
RUN pip install --no-cache-dir "torch>=2.11" --index-url "https://download.pytorch.org/whl/${TORCH}"
WORKDIR /growlm
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY recipes recipes
RUN pip install --no-cache-dir ".[hf,fast]"

# Caches of torch and the Hub go by the user's name and home, which a --user of another number lacks.
ENV USER=grower HOME=/home/grower
RUN useradd --create-home grower && chmod 777 /home/grower && mkdir /runs && chown grower /runs
USER grower
WORKDIR /
ENTRYPOINT ["growlm"]
CMD ["--help"]
