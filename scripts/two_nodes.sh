#!/bin/bash
# A run of two machines with two processes each, on one: two network namespaces joined by a cable. Needs root and iproute2.
#
#   scripts/two_nodes.sh experiment=smoke trainer.device=cpu
#   HANG=20 scripts/two_nodes.sh ...                cuts the cable after so many seconds
#   HANG=20 PATIENCE=30 scripts/two_nodes.sh ...    with processes that wait 30 seconds for each other, not half an hour
#
# After a cut it says how long the processes went on, and ends those that are left.
set -euo pipefail
folder=$(mktemp -d)
finish() {
    for node in cnA cnB; do
        ip netns pids "$node" 2>/dev/null | xargs -r kill -9
        ip netns del "$node" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap finish EXIT
for node in cnA cnB; do
    ip netns del "$node" 2>/dev/null || true
    ip netns add "$node"
    ip -n "$node" link set lo up
done
ip link add vA netns cnA type veth peer name vB netns cnB
ip -n cnA addr add 10.77.0.1/24 dev vA
ip -n cnA link set vA up
ip -n cnB addr add 10.77.0.2/24 dev vB
ip -n cnB link set vB up

patience=()
if [ -n "${PATIENCE:-}" ]; then
    echo "from datetime import timedelta; from cnntrain.core import dist; dist.HUNG = timedelta(seconds=$PATIENCE)
dist.BEAT = dist.HUNG.total_seconds() / 5" >"$folder/patience.py"
    patience=(--import "$folder/patience.py")
fi
started=()
rank=0
for node in A B; do
    # without GLOO_SOCKET_IFNAME gloo takes the address of the host's name, which the other cannot reach
    ip netns exec cn$node env GLOO_SOCKET_IFNAME=v$node OMP_NUM_THREADS=1 torchrun --nnodes=2 --nproc_per_node=2 \
        --node_rank=$rank --master_addr=10.77.0.1 --master_port=29500 -m cnntrain "${patience[@]}" "$@" &
    started+=($!)
    rank=$((rank + 1))
done
if [ -n "${HANG:-}" ]; then
    sleep "$HANG"
    ip -n cnA link set vA down
    SECONDS=0
    echo "cable cut"
fi
code=0
for each in "${started[@]}"; do
    wait "$each" || code=$?
done
if [ -n "${HANG:-}" ]; then
    echo "ended $SECONDS seconds after the cut with exit code $code"
    for node in cnA cnB; do
        left=$(ip netns pids $node | xargs)
        echo "processes left in $node: ${left:-none}"
    done
fi
exit $code
