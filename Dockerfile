# KubeVoice's images, a target each: operator, serving, training. `make images` builds them; see docs/containers.md.

# Debian or Ubuntu, with Python 3.11 or newer and its venv module.
ARG BASE_IMAGE=docker.io/library/python:3.11.14-slim-bookworm

# The stage that builds; it is not part of the images. Secrets are the package index and the build machine's certificates.
FROM ${BASE_IMAGE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_LINK_MODE=copy UV_CACHE_DIR=/build/cache
COPY requirements/build.lock images/with-index /build/
RUN --mount=type=secret,id=index --mount=type=secret,id=certificates \
    python3 -m venv /build/tools \
    && sh /build/with-index /build/tools/bin/python -m pip install --quiet --require-hashes -r /build/build.lock \
    && python3 -m venv --without-pip /opt/kubevoice

# Packages from the index, compiled now: with a read-only root file system each start would compile them again.
FROM builder AS operator-packages
COPY requirements/operator.lock /build/
RUN --mount=type=secret,id=index --mount=type=secret,id=certificates --mount=type=cache,target=/build/cache \
    sh /build/with-index /build/tools/bin/uv pip install --quiet --python /opt/kubevoice --no-deps \
        --require-hashes --compile-bytecode -r /build/operator.lock

FROM builder AS serving-packages
COPY requirements/serving.lock /build/
# Removes what KubeVoice does not use: Ray's Java code and reinforcement learning, jieba's model for another framework.
RUN --mount=type=secret,id=index --mount=type=secret,id=certificates --mount=type=cache,target=/build/cache \
    sh /build/with-index /build/tools/bin/uv pip install --quiet --python /opt/kubevoice --no-deps \
        --require-hashes --compile-bytecode -r /build/serving.lock \
    && cd /opt/kubevoice/lib/python3*/site-packages && rm -r ray/jars ray/rllib jieba/lac_small

FROM builder AS training-packages
# A pattern of packages to omit, if they are installed in another way, such as torch for a certain accelerator.
ARG WITHOUT=
COPY requirements/training.lock images/filter_lock.py /build/
RUN --mount=type=secret,id=index --mount=type=secret,id=certificates --mount=type=cache,target=/build/cache \
    python3 /build/filter_lock.py "${WITHOUT}" < /build/training.lock > /build/chosen.lock \
    && sh /build/with-index /build/tools/bin/uv pip install --quiet --python /opt/kubevoice --no-deps \
        --require-hashes --compile-bytecode -r /build/chosen.lock

# The project itself, in a tree for each image: the part that runs there, and core.
FROM builder AS project
COPY . /build/source/
RUN /build/tools/bin/uv build --quiet --wheel --no-build-isolation --python /build/tools/bin/python \
        --out-dir /build/dist /build/source \
    && /build/tools/bin/uv pip install --quiet --python /opt/kubevoice --no-deps --offline --compile-bytecode \
        /build/dist/*.whl \
    && site="$(/opt/kubevoice/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && for part in operator serving training; do \
        mkdir -p "/parts/${part}${site}" \
        && cp -a "${site}"/kubevoice-*.dist-info "${site}/kubevoice" "${site}/kubevoice_${part}" "/parts/${part}${site}"; \
    done \
    && rm -r "/parts/operator${site}/kubevoice/_voices"

FROM ${BASE_IMAGE} AS base
LABEL org.opencontainers.image.vendor="KubeVoice" org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/kubevoice/bin:$PATH LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 10001 kubevoice \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin kubevoice
WORKDIR /

FROM base AS operator
LABEL org.opencontainers.image.title="KubeVoice operator"
COPY --from=operator-packages /opt/kubevoice /opt/kubevoice
COPY --from=project /parts/operator /
RUN --mount=type=bind,source=images/sbom.py,target=/run/sbom.py \
    python /run/sbom.py kubevoice-operator > /opt/kubevoice/sbom.cdx.json
USER 10001:10001
CMD ["python", "-m", "kubevoice_operator"]

FROM base AS serving
LABEL org.opencontainers.image.title="KubeVoice serving"
# KubeRay's probes call both.
RUN { command -v bash && command -v wget; } > /dev/null \
    || { apt-get update -qq && apt-get install -y -qq --no-install-recommends bash wget && rm -rf /var/lib/apt/lists/*; }
COPY --from=serving-packages /opt/kubevoice /opt/kubevoice
COPY --from=project /parts/serving /
RUN --mount=type=bind,source=images/sbom.py,target=/run/sbom.py \
    python /run/sbom.py kubevoice-serving > /opt/kubevoice/sbom.cdx.json
USER 10001:10001

FROM base AS training
LABEL org.opencontainers.image.title="KubeVoice training"
COPY --from=training-packages /opt/kubevoice /opt/kubevoice
COPY --from=project /parts/training /
RUN --mount=type=bind,source=images/sbom.py,target=/run/sbom.py \
    python /run/sbom.py kubevoice-training > /opt/kubevoice/sbom.cdx.json
USER 10001:10001
CMD ["python", "-m", "kubevoice_training"]
