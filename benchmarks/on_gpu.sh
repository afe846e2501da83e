#!/usr/bin/env bash
# What one card does for a study: tests, epochs, trials that share it, the probe's fit, baselines. Made for ten minutes.
#
#     bash benchmarks/on_gpu.sh                     # results go to benchmarks/results and on_gpu.log
#     DATA_ROOT=DIR bash benchmarks/on_gpu.sh       # DIR has cifar-100-python, for the last step
#     bash benchmarks/on_gpu.sh --tiny              # the same steps on the CPU at their smallest, as the tests run them
#
# A step that fails is told at the end and ends no other step. `python -m benchmarks.page` makes the tables of
# docs/performance.md from the results.
set -uo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-.venv/bin/python}
DATA_ROOT=${DATA_ROOT:-data}
export OMP_NUM_THREADS=1
failed=() mps=

step() { # step NAME COMMAND...: run and time one step
    local name=$1 started=$SECONDS
    shift
    echo "== $name: $*"
    "$@" || failed+=("$name")
    echo "== $name: $((SECONDS - started)) s"
}

end_mps() { # end the daemon that was started, and remove its folders
    [ -n "$mps" ] || return 0
    [ ! -e "$mps/started" ] || echo quit | nvidia-cuda-mps-control
    rm -rf "$mps"
    unset CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY
    mps=
}
trap end_mps EXIT # on Ctrl-C too

if [ "${1:-}" = --tiny ]; then
    device=cpu shape=digits_lt turns=1 seconds=0.2 trials="1 2" probe="--classes 5 --features 16 --largest 20 --views 2"
    tests=tests/trainables/cckd/test_precision.py
else
    device=cuda shape=cifar100_lt turns=15 seconds=5 trials="1 2 4 8" probe="--classes 200 --features 256 --largest 60"
    tests=tests/trainables/cckd/test_cuda.py
fi

step tests "$PYTHON" -m pytest -q "$tests"
for data in $([ "$device" = cpu ] && echo $shape || echo fashion_mnist_lt $shape); do
    step "epoch of $data" "$PYTHON" -m benchmarks.epoch --data "$data" --device $device --turns $turns
    for way in processes threads; do
        # shellcheck disable=SC2086
        step "$data by $way" "$PYTHON" -m benchmarks.sharing --data "$data" --device $device --seconds $seconds \
            --by $way --n $trials
    done
done

# NVIDIA's Multi-Process Service, where it can be started; in folders of its own, so that no other user's is met.
if [ "$device" = cuda ] && command -v nvidia-cuda-mps-control > /dev/null; then
    mps=$(mktemp -d)
    mkdir "$mps/pipe" "$mps/log"
    export CUDA_MPS_PIPE_DIRECTORY=$mps/pipe CUDA_MPS_LOG_DIRECTORY=$mps/log
    if nvidia-cuda-mps-control -d; then
        touch "$mps/started"
        # shellcheck disable=SC2086
        step "$shape by mps" "$PYTHON" -m benchmarks.sharing --data $shape --seconds $seconds --by mps --n $trials
    else
        echo "== mps: it could not be started"
    fi
    end_mps
else
    echo "== mps: there is no nvidia-cuda-mps-control here, or no card"
fi

# shellcheck disable=SC2086
step "probe's fit" "$PYTHON" -m benchmarks.probe_fit $probe --only means --device $device

if [ "$device" = cuda ] && [ -d "$DATA_ROOT/cifar-100-python" ]; then
    step baselines "$PYTHON" -m benchmarks.published_baselines --data-root "$DATA_ROOT" --device cuda \
        --precision bfloat16 --epochs 20 --minutes 3
else
    echo "== baselines: need a card and $DATA_ROOT/cifar-100-python"
fi

[ ${#failed[@]} = 0 ] || { printf 'failed: %s\n' "${failed[@]}"; exit 1; }
