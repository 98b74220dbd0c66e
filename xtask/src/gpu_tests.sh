#!/bin/sh
# Runs Kiln's tests and benchmarks on this machine's NVIDIA card. It needs the driver, no Rust and no CUDA toolkit.
# sh run.sh [DATA]      DATA/mnist holds MNIST; without it the subset inside of the program is used
here=$(cd "$(dirname "$0")" && pwd)
logs=${OUT:-$here/logs}
mkdir -p "$logs"
passed=0
failed=""

# try NAME COMMAND…: runs it, keeps what it prints, and tells how it ended.
try() {
    name=$1
    shift
    "$@" >"$logs/$name.log" 2>&1
    code=$?
    if [ $code -eq 0 ]; then
        passed=$((passed + 1))
        echo "passed  $name"
    else
        failed="$failed $name"
        echo "FAILED  $name (exit code $code)"
    fi
    tail -n 2 "$logs/$name.log" | sed 's/^/        /'
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null
try devices "$here/bin/kiln" devices

# The tests that need a card are those that are ignored elsewhere.
for test in "$here"/tests/*; do
    try "test-$(basename "$test")" "$test" --ignored --test-threads 1
done

data=${1:+--data "$1"}
for device in cpu cuda; do
    # shellcheck disable=SC2086 # no word at all where there is no data
    try "train-$device" "$here/bin/kiln" train mnist-mlp --device $device --epochs 2 --seed 1 --quiet $data
done

try "bench-gemm" "$here/bin/kiln-bench" gemm --device cuda
if [ -n "$1" ]; then
    for task in mnist-mlp overhead; do
        try "bench-$task" "$here/bin/kiln-bench" $task --device cuda --data "$1"
    done
fi

echo
if [ -z "$failed" ]; then
    echo "gpu-tests: all $passed passed; logs in $logs"
else
    echo "gpu-tests: $passed passed, failed:$failed; logs in $logs"
    exit 1
fi
