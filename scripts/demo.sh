#!/usr/bin/env bash
# Two compute nodes under one controller, in network namespaces of this machine, proved to work.
#
#   scripts/demo.sh [--ports pcap|dpdk] [--keep] [--down] [--size MiB]
#
#   --ports dpdk   the routers use DPDK ports (net_af_packet on the fabric, net_tap for workloads) instead of libpcap; no hugepages needed
#   --keep         leave everything up and print the commands to explore it
#   --down         remove what --keep left
#   --size MiB     how much the TCP transfer moves (default 1024)
#
# Exits 0 when every step is green; else says what failed and where the logs are. Ctrl-C cleans up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LAB_PORTS=pcap
keep= down= size=1024
while [ $# -gt 0 ]; do
    case $1 in
    --ports) LAB_PORTS=${2:?--ports takes pcap or dpdk}; shift ;;
    --keep) keep=1 ;;
    --down) down=1 ;;
    --size) size=${2:?--size takes a number of MiB}; shift ;;
    -h | --help) sed -n '2,11p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "demo: unknown option $1; see --help" >&2; exit 2 ;;
    esac
    shift
done
case $LAB_PORTS in pcap | dpdk) ;; *) echo "demo: --ports takes pcap or dpdk, not '$LAB_PORTS'" >&2; exit 2 ;; esac
LAB_BIN=${LAB_BIN:-$PWD/.build/release}
LAB_CONFIG=$PWD/configs/demo.yaml
. scripts/lab.sh

if [ -t 1 ]; then bold=$'\033[1m' green=$'\033[32m' red=$'\033[31m' plain=$'\033[0m'; else bold='' green='' red='' plain=''; fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
ok() { printf '%s  ok%s  %s\n' "$green" "$plain" "$*"; }
die() {
    printf '%s  FAILED%s  %s\n  logs: %s/log\n' "$red" "$plain" "$*" "$LAB_DIR" >&2
    local log
    for log in "$LAB_DIR"/log/*.log; do [ -s "$log" ] && { printf -- '--- %s\n' "$log"; tail -n 5 "$log"; } >&2; done
    exit 1
}

if [ -n "$down" ]; then
    lab_down
    ok "the lab is gone; its logs stay in $LAB_DIR/log"
    exit 0
fi
[ "$(id -u)" = 0 ] || { echo "demo: makes network namespaces and needs root" >&2; exit 1; }
for program in vrouter vrouter-agent vrouter-controller vrctl; do
    [ -x "$LAB_BIN/$program" ] || { echo "demo: $LAB_BIN/$program is not there; run ./run build first" >&2; exit 1; }
done
if ip netns list | grep -q "^$LAB-"; then
    echo "demo: removing a lab that an earlier run left"
    lab_down
fi
rm -rf "$LAB_DIR"

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    [ -n "$keep" ] && [ $status = 0 ] && exit 0
    lab_down
    exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- 1, 2, 3 -------------------------------------------------------------------------------------------------------------
step "network namespaces: fabric, controller, node1, node2, four workloads"
lab_network
ok "logs in $LAB_DIR/log"

step "starting vrouter-controller, and vrouter and vrouter-agent on each node ($LAB_PORTS ports)"
started=$(date +%s%N)
lab_start
wait_for 20 "the controller answering" in_ns controller curl -sf http://10.0.0.1:8082/v1/status || die "the controller does not answer"
in_ns controller "$LAB_BIN/vrctl" --controller http://10.0.0.1:8082 apply -f "$LAB_CONFIG" || die "configs/demo.yaml was not accepted"
if [ "$LAB_PORTS" = dpdk ]; then
    for node in $LAB_NODES; do for workload in ${NODE_WORKLOADS[$node]}; do lab_adopt_tap "$node" "$workload" || die "no tap device for $workload"; done; done
fi
for node in $LAB_NODES; do
    wait_for 30 "$node ready" lab_node_ready "$node" || { in_ns "$node" curl -s http://127.0.0.1:9091/status | jq . >&2 || true; die "$node is not ready"; }
done
ok "both nodes ready $(((($(date +%s%N) - started)) / 1000000)) ms after the first process was started"

# ---- 4 -------------------------------------------------------------------------------------------------------------------
# A capture of the fabric runs along; its packets are decoded in step 5.
capture=$LAB_DIR/fabric.pcap
start fabric capture tshark -i to-node1 -s 256 -q -w "$capture" -f "udp port 4789 or udp port 6635"
wait_for 10 "the capture running" test -s "$capture" || die "tshark does not capture"

step "ping"
ping_ok() { in_ns "$1" ping -n -q -c 3 -i 0.2 -W 2 "$2" >"$LAB_DIR/ping.out" 2>&1 || { cat "$LAB_DIR/ping.out"; die "$3"; }; ok "$3: $(tail -1 "$LAB_DIR/ping.out" | sed 's/rtt //')"; }
ping_ok blue1 "${WORKLOAD_IPV4[blue3]}" "IPv4, other node"
ping_ok blue1 "${WORKLOAD_IPV6[blue3]}" "IPv6, other node"
ping_ok blue1 "${WORKLOAD_IPV4[blue2]}" "IPv4, same node"
ping_ok blue1 "${WORKLOAD_IPV6[blue2]}" "IPv6, same node"
ping_ok blue1 10.1.0.1 "IPv4, gateway"
ping_ok blue1 fd00:1::1 "IPv6, gateway"

step "TCP: $size MiB from blue1 on node1 to blue3 on node2, checksums compared"
payload() { head -c "${size}M" /dev/urandom; }
payload | tee >(sha256sum >"$LAB_DIR/sent.sum") >"$LAB_DIR/payload"
start blue3 sink sh -c "exec socat -u TCP-LISTEN:5001,reuseaddr - | sha256sum >'$LAB_DIR/received.sum'"
wait_for 5 "the receiver listening" sh -c "ip netns exec $LAB-blue3 ss -ltn | grep -q :5001" || die "socat does not listen"
begun=$(date +%s%N)
in_ns blue1 timeout 300 socat -u "OPEN:$LAB_DIR/payload" TCP:10.1.0.13:5001 || die "the transfer failed"
took=$(((($(date +%s%N) - begun)) / 1000000))
wait_for 30 "the receiver's checksum" test -s "$LAB_DIR/received.sum" || die "the receiver did not finish"
rm -f "$LAB_DIR/payload"
cmp -s "$LAB_DIR/sent.sum" "$LAB_DIR/received.sum" || die "checksums differ: $(cat "$LAB_DIR/sent.sum") sent, $(cat "$LAB_DIR/received.sum") received"
ok "sha256 $(cut -c1-16 "$LAB_DIR/received.sum")… equal at both ends, $((size * 8389 / took)) Mbit/s"

drops() { vrctl_on "$1" dropstats -o json | jq -r --arg name "$2" '.drops[] | select(.name == $name) | .packets'; }

step "blue cannot reach red"
before=$(drops node1 no_route)
if in_ns blue1 ping -n -q -c 3 -i 0.2 -W 1 "${WORKLOAD_IPV4[red1]}" >/dev/null; then die "blue1 reached red1"; fi
after=$(drops node1 no_route)
[ "$((after - before))" -ge 3 ] || die "three packets were lost, but the counter No Route went from $before to $after"
ok "3 packets sent, none answered; dropstats on node1: No Route $before -> $after"

step "9000-octet packets over a fabric of $LAB_FABRIC_MTU"
# A veth or tap of 9000 into a VXLAN tunnel over 1500: 1500 - 50 octets fit.
in_ns blue1 ping -n -q -c 2 -W 2 -M "dont" -s 8972 "${WORKLOAD_IPV4[blue3]}" >/dev/null || die "without DF: 9000-octet pings were not fragmented and delivered"
ok "without DF: fragmented and delivered"
if in_ns blue1 ping -n -c 1 -W 2 -M "do" -s 8972 "${WORKLOAD_IPV4[blue3]}" >"$LAB_DIR/df.out" 2>&1; then die "with DF: a 9000-octet ping got through"; fi
grep -qE 'Frag needed and DF set \(mtu = 1450\)|Message too long, mtu=1450' "$LAB_DIR/df.out" || { cat "$LAB_DIR/df.out"; die "with DF: no 'fragmentation needed' with MTU 1450"; }
ok "with DF: $(grep -oE 'From .*|.*mtu=1450' "$LAB_DIR/df.out" | head -1)"
in_ns blue1 ping -n -q -c 2 -W 2 -s 8952 "${WORKLOAD_IPV6[blue3]}" >/dev/null 2>&1 || in_ns blue1 ping -n -q -c 2 -W 2 -s 8952 "${WORKLOAD_IPV6[blue3]}" >/dev/null || die "IPv6: the sender did not learn the path MTU"
in_ns blue1 ip -6 route get "${WORKLOAD_IPV6[blue3]}" | grep -q 'mtu 1450' || die "IPv6: no path MTU of 1450 learned from packet too big"
ok "IPv6: packet too big, the sender learned MTU 1450 and fragments"

step "kill -9 of the agent on node1, then of the controller, under ping -i 0.01"
in_ns blue1 ping -n -q -i 0.01 -c 1500 "${WORKLOAD_IPV4[blue3]}" >"$LAB_DIR/long.out" 2>&1 &
long=$!
blue3_received() { in_ns blue3 cat /proc/net/snmp | awk '/^Icmp:/ && $2 ~ /^[0-9]/ { print $2 }'; }
before=$(blue3_received)
wait_for 5 "the pings under way" sh -c "[ \$(ip netns exec $LAB-blue3 awk '/^Icmp:/ && \$2 ~ /^[0-9]/ { print \$2 }' /proc/net/snmp) -gt $((before + 20)) ]" || die "no pings arrive"
kill_process node1-agent KILL
lab_start_agent node1
wait_for 20 "node1 ready again" lab_node_ready node1 || die "the agent did not come back"
ok "agent killed and back; its data plane was not reset"
kill_process controller KILL
lab_start_controller
wait_for 20 "the controller answering again" in_ns controller curl -sf http://10.0.0.1:8082/v1/status || die "the controller did not come back"
for node in $LAB_NODES; do wait_for 30 "$node ready again" lab_node_ready "$node" || die "$node is not ready after the controller's restart"; done
ok "controller killed and back, with everything it had stored"
kill -0 $long 2>/dev/null || die "the restarts took longer than the pings"
wait $long || { cat "$LAB_DIR/long.out"; die "ping failed"; }
grep -q '1500 packets transmitted, 1500 received' "$LAB_DIR/long.out" || { cat "$LAB_DIR/long.out"; die "packets were lost"; }
ok "$(grep 'packets transmitted' "$LAB_DIR/long.out")"

# ---- 5 -------------------------------------------------------------------------------------------------------------------
step "node1, as its operator sees it"
show() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"; vrctl_on node1 "$@" | head -n 40; }
in_ns blue1 ping -n -q -c 1 "${WORKLOAD_IPV4[blue3]}" >/dev/null || true
show status || die "vrctl status says that something is unhealthy"
show flow -l
vrf=$(vrctl_on node1 vif --list -o json | jq '[.vifs[] | select(.kind == "virtual") | .vrf][0]')
show rt --dump "$vrf"
show nh --list
show vif --list
show dropstats

step "the fabric, decoded by tshark"
kill_process capture INT
tshark -r "$capture" -c 400 -Y "icmp or icmpv6" 2>/dev/null | head -4
decoded=$(tshark -r "$capture" -Y "vxlan.vni && ip.addr == 10.1.0.13" -c 20000 -T fields -e ip.src -e ip.dst -e udp.dstport -e vxlan.vni 2>/dev/null | sort | uniq -c | sort -rn | head -4 || true)
[ -n "$decoded" ] || die "tshark finds no VXLAN packet of the blue network in $capture"
printf '   count  outer,inner source  outer,inner destination  port  VNI\n%s\n' "$decoded"
ok "VXLAN on the fabric: $capture"

step "green"
if [ -n "$keep" ]; then
    cat <<END
The lab is up. Try:
  ip netns exec $LAB-blue1 ping 10.1.0.13
  ip netns exec $LAB-node1 $LAB_BIN/vrctl --socket $LAB_DIR/node1/dataplane.sock --controller http://10.0.0.1:8082 status
  ip netns exec $LAB-node1 $LAB_BIN/vrctl --socket $LAB_DIR/node1/dataplane.sock flow -l
  ip netns exec $LAB-controller $LAB_BIN/vrctl --controller http://10.0.0.1:8082 get ports
  ip netns exec $LAB-fabric tshark -i to-node1 -f 'udp port 4789'
and remove it with:
  ./run demo --down
END
fi
