#!/bin/sh
# Measures the library on one GPU, in 8 minutes at most, setting up included: see bench/README.md, `gpu`.
#
#   bench/gpu.sh                     results in bench/gpu-results; OUT=FOLDER puts them elsewhere
#   PYTHON=/path/to/python bench/gpu.sh   uses that Python if it has all that is needed, and sets up nothing
#   bench/gpu.sh --device cpu --quick     tries it out, on toy sizes
#
# Ends with 2, and one line, where there is no GPU to be seen or nothing can be installed.
set -u
cd "$(dirname "$0")/.." || exit 2
began=$(date +%s)
limit=${LIMIT:-470}
out=${OUT:-bench/gpu-results}
python=${PYTHON:-python3}
mkdir -p "$out" || exit 2

has_all() { "$1" -c 'import peft, safetensors, torch, transformers, forgetting, rich' >/dev/null 2>&1; }

export PYTHONPATH="src:.${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1
if ! has_all "$python"; then
    venv=${VENV:-.venv-gpu}
    if ! has_all "$venv/bin/python"; then
        torch=$(grep -E '^torch==' constraints.txt)
        echo "setting up $venv with $torch"
        "$python" -m venv "$venv" >"$out/setup.log" 2>&1 &&
            timeout 240 "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 10 \
                -c constraints.txt "$torch" -e '.[qlora]' >>"$out/setup.log" 2>&1
        if ! has_all "$venv/bin/python"; then
            echo "gpu.sh: nothing could be installed (no network, or see $out/setup.log); name a Python that has all: PYTHON=… bench/gpu.sh" >&2
            exit 2
        fi
        for more in cut-cross-entropy liger-kernel; do # arms beside ours; what is missing is said, not failed
            timeout 40 "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 10 --no-deps \
                "$more" >>"$out/setup.log" 2>&1 || echo "$more could not be installed; its arm is left out"
        done
    fi
    python=$venv/bin/python
fi
left=$((limit - $(date +%s) + began))
if [ "$left" -lt 60 ]; then
    echo "gpu.sh: setting up took nearly all of $limit s; start it again, it is set up now" >&2
    exit 2
fi
timeout $((left + 10)) "$python" -m bench gpu --out "$out" --limit "$left" "$@"
