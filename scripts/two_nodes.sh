#!/bin/bash
# A run of two machines with two processes each, on one: two network namespaces joined by a cable. Needs root and iproute2.
#
#   scripts/two_nodes.sh experiment=smoke trainer.device=cpu
#   HANG=20 scripts/two_nodes.sh ...     cuts the cable after so many seconds
set -euo pipefail
finish() {
    for node in cnA cnB; do ip netns del "$node" 2>/dev/null || true; done
}
finish
trap finish EXIT
for node in cnA cnB; do
    ip netns add "$node"
    ip -n "$node" link set lo up
done
ip link add vA netns cnA type veth peer name vB netns cnB
ip -n cnA addr add 10.77.0.1/24 dev vA
ip -n cnA link set vA up
ip -n cnB addr add 10.77.0.2/24 dev vB
ip -n cnB link set vB up

started=()
rank=0
for node in A B; do
    # without GLOO_SOCKET_IFNAME gloo takes the address of the host's name, which the other cannot reach
    ip netns exec cn$node env GLOO_SOCKET_IFNAME=v$node OMP_NUM_THREADS=1 torchrun --nnodes=2 --nproc_per_node=2 \
        --node_rank=$rank --master_addr=10.77.0.1 --master_port=29500 -m cnntrain "$@" &
    started+=($!)
    rank=$((rank + 1))
done
if [ -n "${HANG:-}" ]; then
    sleep "$HANG"
    ip -n cnA link set vA down
fi
code=0
for each in "${started[@]}"; do
    wait "$each" || code=$?
done
exit $code
