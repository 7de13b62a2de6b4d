# A laboratory of network namespaces: one fabric, one controller, two compute nodes, four workloads. Sourced by demo.sh and by the end-to-end tests.
#
#              controller 10.0.0.1
#                    │
#   node1 ── fabric bridge ── node2        fabric MTU 1500
#   10.0.0.11                10.0.0.12
#   blue1 blue2              blue3 red1    workload MTU 9000
#
# Everything is named with $LAB (default vr), lives in namespaces and under $LAB_DIR, and goes away with lab_down.

LAB=${LAB:-vr}
LAB_DIR=${LAB_DIR:-/tmp/swift-vrouter-$LAB}
LAB_BIN=${LAB_BIN:?the folder with the vrouter programs}
LAB_PORTS=${LAB_PORTS:-pcap}
LAB_CONFIG=${LAB_CONFIG:-configs/demo.yaml}
LAB_FABRIC_MTU=${LAB_FABRIC_MTU:-1500}
LAB_WORKLOAD_MTU=${LAB_WORKLOAD_MTU:-9000}

LAB_NODES="node1 node2"
declare -A NODE_ADDRESS=([node1]=10.0.0.11 [node2]=10.0.0.12)
declare -A NODE_WORKLOADS=([node1]="blue1 blue2" [node2]="blue3 red1")
# What each learns from the other: of each workload in a network that it has, too, the IPv4 and IPv6 route and, where the network bridges, the MAC with either
# address; and of each such network that the other wants copies of broadcasts.
declare -A NODE_ROUTES=([node1]=5 [node2]=9)
declare -A WORKLOAD_MAC=([blue1]=02:00:00:00:01:11 [blue2]=02:00:00:00:01:12 [blue3]=02:00:00:00:01:13 [red1]=02:00:00:00:02:11)
declare -A WORKLOAD_IPV4=([blue1]=10.1.0.11 [blue2]=10.1.0.12 [blue3]=10.1.0.13 [red1]=10.2.0.11)
declare -A WORKLOAD_IPV6=([blue1]=fd00:1::11 [blue2]=fd00:1::12 [blue3]=fd00:1::13 [red1]=fd00:2::11)

in_ns() { local ns=$1; shift; ip netns exec "$LAB-$ns" "$@"; }
node_of() { case $1 in blue1 | blue2) echo node1 ;; *) echo node2 ;; esac; }
vrctl_on() { local node=$1; shift; in_ns "$node" "$LAB_BIN/vrctl" --socket "$LAB_DIR/$node/dataplane.sock" --controller http://10.0.0.1:8082 "$@"; }

# wait_for SECONDS WHAT COMMAND…: asks again until the command succeeds. No fixed sleeps: 20 ms between questions.
wait_for() {
    local limit=$1 what=$2 start=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $((SECONDS - start)) -ge "$limit" ]; then echo "lab: $what did not happen within $limit s" >&2; return 1; fi
        sleep 0.02
    done
}

add_namespace() {
    ip netns add "$LAB-$1"
    ip -n "$LAB-$1" link set lo up
}

# plug NS IF MTU: a cable from an interface in a namespace to the fabric bridge.
plug() {
    ip link add "$2" netns "$LAB-$1" mtu "$3" type veth peer name "to-$1" netns "$LAB-fabric" mtu "$3"
    ip -n "$LAB-fabric" link set "to-$1" master bridge up
    ip -n "$LAB-$1" link set "$2" up
}

# Interfaces that belong to the router carry no address of the kernel's, not even a link-local one.
# With strict reverse-path filtering the kernel takes no IPv4 there either: without it, it would answer ARP for vhost0's address a second time.
no_kernel_ip() {
    in_ns "$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1" "net.ipv6.conf.$2.accept_ra=0" "net.ipv4.conf.$2.rp_filter=1" "net.ipv4.conf.$2.arp_ignore=8"
}

lab_network() {
    mkdir -p "$LAB_DIR/log"
    add_namespace fabric
    in_ns fabric sysctl -qw net.ipv6.conf.all.disable_ipv6=1
    ip -n "$LAB-fabric" link add bridge mtu "$LAB_FABRIC_MTU" type bridge
    ip -n "$LAB-fabric" link set bridge up
    add_namespace controller
    plug controller eth0 "$LAB_FABRIC_MTU"
    ip -n "$LAB-controller" address add 10.0.0.1/24 dev eth0
    local node workload
    for node in $LAB_NODES; do
        add_namespace "$node"
        in_ns "$node" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
        mkdir -p "$LAB_DIR/$node/ports"
        plug "$node" fabric0 "$LAB_FABRIC_MTU"
        no_kernel_ip "$node" fabric0
        local mac
        mac=$(in_ns "$node" cat /sys/class/net/fabric0/address)
        ip -n "$LAB-$node" link add vhost0 address "$mac" mtu "$LAB_FABRIC_MTU" type veth peer name vhost0-vr mtu "$LAB_FABRIC_MTU"
        ip -n "$LAB-$node" link set vhost0-vr up
        no_kernel_ip "$node" vhost0-vr
        ip -n "$LAB-$node" link set vhost0 up
        ip -n "$LAB-$node" address add "${NODE_ADDRESS[$node]}/24" dev vhost0
        for workload in ${NODE_WORKLOADS[$node]}; do
            add_namespace "$workload"
            [ "$LAB_PORTS" = dpdk ] || lab_cable "$node" "$workload"
        done
    done
}

# A workload's cable: a veth whose far end is the router's.
lab_cable() {
    ip link add eth0 netns "$LAB-$2" address "${WORKLOAD_MAC[$2]}" mtu "$LAB_WORKLOAD_MTU" type veth \
        peer name "tap-$2" netns "$LAB-$1" mtu "$LAB_WORKLOAD_MTU"
    ip -n "$LAB-$1" link set "tap-$2" up
    no_kernel_ip "$1" "tap-$2"
    lab_workload_address "$2"
}

# With DPDK, net_tap makes the interface; it is then moved into the workload's namespace.
lab_adopt_tap() {
    wait_for 20 "the tap device of $2" ip -n "$LAB-$1" link show "tap-$2"
    ip -n "$LAB-$1" link set "tap-$2" netns "$LAB-$2" name eth0
    ip -n "$LAB-$2" link set eth0 address "${WORKLOAD_MAC[$2]}" mtu "$LAB_WORKLOAD_MTU"
    lab_workload_address "$2"
}

lab_workload_address() {
    local network=${WORKLOAD_IPV4[$1]%.*} network6=${WORKLOAD_IPV6[$1]%::*}
    ip -n "$LAB-$1" link set eth0 up
    ip -n "$LAB-$1" address add "${WORKLOAD_IPV4[$1]}/24" dev eth0
    ip -n "$LAB-$1" address add "${WORKLOAD_IPV6[$1]}/64" dev eth0 nodad
    ip -n "$LAB-$1" route add default via "$network.1"
    ip -n "$LAB-$1" -6 route add default via "$network6::1"
}

lab_write_configs() {
    cat >"$LAB_DIR/controller.yaml" <<END
xmpp:
  listen: 10.0.0.1:5269
  domain: vrouter.local
  transport: plaintext
  plaintextScope: any
  credentials: {node1: secret-of-node1, node2: secret-of-node2}
http: {listen: "10.0.0.1:8082"}
store: $LAB_DIR/controller.sqlite
log: info
END
    local node
    for node in $LAB_NODES; do
        local fabric=pcap host=pcap workloads=pcap dpdk=
        if [ "$LAB_PORTS" = dpdk ]; then
            fabric='"net_af_packet{index},iface={interface}"'
            host='"net_af_packet{index},iface={interface}"'
            workloads='"net_tap{index},iface={interface}"'
            dpdk='dpdk: {}'
        fi
        cat >"$LAB_DIR/$node/vrouter.yaml" <<END
workers: 1
idle: adaptive
api: {socket: $LAB_DIR/$node/dataplane.sock}
$dpdk
END
        cat >"$LAB_DIR/$node/agent.yaml" <<END
node: $node
controllers: [{host: 10.0.0.1, port: 5269}]
xmpp: {domain: vrouter.local, password: secret-of-$node, transport: plaintext, plaintextScope: any}
dataplane: {socket: $LAB_DIR/$node/dataplane.sock}
api: {port: 9091}
fabric: {interface: fabric0, driver: $fabric, address: ${NODE_ADDRESS[$node]}/24, gateway: 10.0.0.1, mtu: $LAB_FABRIC_MTU, mac: "$(in_ns "$node" cat /sys/class/net/fabric0/address)"}
host: {interface: vhost0-vr, driver: $host}
workloads: {driver: $workloads}
dns: {forwarders: [10.0.0.1], timeoutSeconds: 1}
state: $LAB_DIR/$node/ports
log: info
END
    done
}

# start NS NAME COMMAND…: a process in a namespace, its output in $LAB_DIR/log/NAME.log, its id in $LAB_DIR/NAME.pid.
start() {
    local ns=$1 name=$2
    shift 2
    ip netns exec "$LAB-$ns" "$@" >>"$LAB_DIR/log/$name.log" 2>&1 </dev/null &
    echo $! >"$LAB_DIR/$name.pid"
}

lab_start_controller() { start controller controller "$LAB_BIN/vrouter-controller" --config "$LAB_DIR/controller.yaml"; }
lab_start_vrouter() { start "$1" "$1-vrouter" "$LAB_BIN/vrouter" --config "$LAB_DIR/$1/vrouter.yaml"; }
lab_start_agent() { start "$1" "$1-agent" "$LAB_BIN/vrouter-agent" --config "$LAB_DIR/$1/agent.yaml"; }

lab_start() {
    lab_write_configs
    lab_start_controller
    local node
    for node in $LAB_NODES; do
        lab_start_vrouter "$node"
        lab_start_agent "$node"
    done
}

# The whole lab is ready when both agents say that every port they were given is active, and each node's routes have arrived.
lab_node_ready() {
    local node=$1 ports
    ports=$(wc -w <<<"${NODE_WORKLOADS[$node]}")
    in_ns "$node" curl -sf http://127.0.0.1:9091/status | jq -e --argjson ports "$ports" --argjson routes "${NODE_ROUTES[$node]}" '
        .dataplane.connected and .config.endOfConfig and ([.controllers[] | .state == "up" and .endOfRIB and .routesStale == 0] | all)
        and ([.ports[] | select(.state == "active")] | length == $ports) and (.refused | length == 0)
        and .routes.received == $routes and .routes.unresolved == 0'
}

# kill_process NAME SIGNAL: ends a process that the lab started, by its id.
kill_process() {
    local file="$LAB_DIR/$1.pid" pid
    [ -f "$file" ] || return 0
    pid=$(cat "$file")
    kill "-$2" "$pid" 2>/dev/null || true
    local tries=0
    while kill -0 "$pid" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 150 ] || { kill -KILL "$pid" 2>/dev/null || true; break; }
        sleep 0.02
    done
    { wait "$pid"; } 2>/dev/null || true
    rm -f "$file"
}

lab_down() {
    local file ns
    for file in "$LAB_DIR"/*.pid; do
        [ -f "$file" ] && kill_process "$(basename "$file" .pid)" TERM
    done
    for ns in $(ip netns list | awk '{print $1}' | grep "^$LAB-" || true); do ip netns delete "$ns"; done
}
