#!/usr/bin/python3
"""How long a change of an object takes until the flows that it forbids have stopped: `reevaluate_site.py BIN [FLOWS] [RULES]`, as root.

The whole way: an object is given to the controller, which tells the agent by XMPP, which programs the data plane, which decides its flows again. One node in a network namespace of its own, a workload
that sends a packet for each flow to another, and three changes of each kind. The clock runs from the HTTP request until the last of the flows is read as dropped over the API; that all of them are
is counted afterwards. BIN has vrouter, vrouter-agent and vrouter-controller. Needs python3-grpcio, python3-protobuf, protobuf-compiler.
"""

import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "docs/api-client"))
from vrouter_api import Dataplane, pb  # noqa: E402

FLOWS = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
RULES = int(sys.argv[3]) if len(sys.argv) > 3 else 1
CONTROLLER = "http://127.0.0.1:8082"
MACS = {"a": "02:00:00:00:01:11", "b": "02:00:00:00:01:12"}


def checksum(header):
    total = sum(struct.unpack(">10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(number):
    """A datagram from a (10.1.0.11) to b (10.1.0.12), through the gateway."""
    udp = struct.pack(">HHHH", 1024 + number % 50_000, 5000 + number // 50_000, 26, 0) + bytes(18)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 46, 1, 0, 64, 17, 0, 0x0A01000B, 0x0A01000C)
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return bytes.fromhex("00005e000100" + MACS["a"].replace(":", "")) + b"\x08\x00" + ip + udp


def apply(*documents):
    request = urllib.request.Request(f"{CONTROLLER}/v1/apply", data="---\n".join(documents).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as reply:
        json.load(reply)


def port(name, last, groups="", labels="", address=None):
    return f"""kind: Port
metadata: {{name: {name}, labels: {{{labels}}}}}
spec: {{network: blue, node: node1, mac: "{MACS[name]}", addresses: [{address or f"10.1.0.{last}"}], interface: tap-{name}, securityGroups: [{groups}]}}
"""


def policy(spec):
    return f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"


def group(name, rules):
    return f"kind: SecurityGroup\nmetadata: {{name: {name}}}\nspec: {{{rules}}}\n"


# Other rules about the group before the one that counts.
OTHERS = "".join(f"{{protocol: tcp, ports: [{1 + n}], from: {{group: clients}}}}, " for n in range(RULES - 1))
FROM_CLIENTS = group("servers", f"ingress: [{OTHERS}{{protocol: udp, from: {{group: clients}}}}], egress: [{{}}]")
NETWORK = "kind: VirtualNetwork\nmetadata: {name: blue}\nspec: {subnets: [{prefix: 10.1.0.0/24}], forwarding: l3}\n"
OPEN = group("clients", "ingress: [{}], egress: [{}]")
NOBODY = policy("{podSelector: {matchLabels: {app: none}}}")
# What each change is: before it the flows pass, after it they do not.
CHANGES = {
    "a port leaves a group that a rule names": ([port("b", 12, "servers"), NOBODY], port("a", 11, "clients"), port("a", 11)),
    "the label of a port, which a policy of Kubernetes selects": (
        [port("b", 12, labels="app: db"), policy("{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {role: web}}}]}]}")],
        port("a", 11, labels="role: web"), port("a", 11, labels="role: guest")),
    "the address of a port in a group that a rule names": (
        [port("b", 12, "servers"), NOBODY], port("a", 11, "clients"), port("a", 11, "clients", address="10.1.0.13")),
    "a rule of a security group": ([port("a", 11, "clients"), port("b", 12, "servers"), NOBODY], FROM_CLIENTS, group("servers", "egress: [{}]")),
    "the groups of a port": ([port("a", 11), FROM_CLIENTS, NOBODY], port("b", 12), port("b", 12, "servers")),
}


def wait(what, condition, limit=20):
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > limit:
            raise SystemExit(f"{what} did not happen within {limit} s")
        time.sleep(0.02)


def measure(folder, binaries):
    def start(program, text):
        path = pathlib.Path(f"{folder}/{program}.yaml")
        path.write_text(text)
        log = open(f"{folder}/{program}.log", "w")
        return subprocess.Popen([f"{binaries}/{program}", "--config", str(path)], stdout=log, stderr=log)

    for command in [
        "ip link set lo up", "ip link add fabric0 type veth peer name cable", "ip link set fabric0 up", "ip link set cable up",
        *[f"ip link add tap-{name} type veth peer name work-{name}" for name in MACS], *[f"ip link set tap-{name} up" for name in MACS],
        *[f"ip link set work-{name} up" for name in MACS],
    ]:
        subprocess.run(command.split(), check=True)
    api_socket = f"{folder}/s.sock"
    xmpp = "transport: plaintext"
    programs = [
        start("vrouter-controller", f"xmpp: {{{xmpp}, credentials: {{node1: secret}}}}\nstore: {folder}/c.sqlite\n"),
        start("vrouter", f"api: {{socket: {api_socket}}}\nflows: {{capacity: {FLOWS * 4}}}\n"),
        start("vrouter-agent", f"""node: node1
controllers: [{{host: 127.0.0.1}}]
xmpp: {{{xmpp}, password: secret}}
dataplane: {{socket: {api_socket}}}
fabric: {{interface: fabric0, address: 10.0.0.11/24, mac: "02:00:00:00:00:11"}}
state: {folder}/ports
"""),
    ]
    try:
        def answers():
            try:
                urllib.request.urlopen(f"{CONTROLLER}/v1/status", timeout=1).close()
                return True
            except OSError:
                return False

        wait("the controller", answers)
        wait("the data plane", lambda: os.path.exists(api_socket))
        apply("kind: ComputeNode\nmetadata: {name: node1}\nspec: {address: 10.0.0.11}\n", NETWORK, OPEN, FROM_CLIENTS, port("a", 11), port("b", 12))
        api = Dataplane(api_socket, timeout=60)

        def used():
            return next(t.used for t in api.status().tables if t.name == "flow") // 2

        def sums():
            return api._call("SummarizeFlows", pb.SummarizeFlowsRequest(), pb.FlowSummary)

        def active():
            try:
                with urllib.request.urlopen("http://127.0.0.1:9091/status", timeout=2) as reply:
                    return sum(p["state"] == "active" for p in json.load(reply)["ports"]) == 2
            except OSError:
                return False

        wait("the agent and both ports", active)
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind(("work-a", 0))

        def fill():
            """Packets until there is a flow for each. What is dropped and has had no packet for ten seconds goes, so each round begins with this."""
            for _ in range(5):
                for number in range(FLOWS):
                    sender.send(frame(number))
                    if number % 100 == 99:
                        time.sleep(0.002)
                time.sleep(0.3)
                if used() >= FLOWS:
                    return
            raise SystemExit(f"{used()} flows, not {FLOWS}")

        fill()
        print(f"{FLOWS} flows, {RULES} rules in a group")

        def last():
            """The index of the last forward entry: flows are decided in this order."""
            return max(flow.index for flow in api.flows(forward_only=True, protocol=17))

        def action(index):
            return api._call("Read", pb.ReadRequest(table=pb.TABLE_FLOW, id=index), pb.ReadResponse).objects[0].flow.action

        for what, (before, passing, forbidding) in CHANGES.items():
            apply(*before, passing)
            wait("flows that pass", lambda: action(last()) == pb.FLOW_ACTION_FORWARD)
            times = []
            for _ in range(5):
                wait("all of them", lambda: sums().by_action["drop"] == 0)
                fill()
                index = last()
                begun = time.perf_counter()
                apply(forbidding)
                while action(index) != pb.FLOW_ACTION_DROP:
                    pass
                times.append((time.perf_counter() - begun) * 1000)
                left = sums().by_action["forward"]
                assert left == 0, f"{left} entries forward"
                apply(passing)
            print(f"{what}: {min(times):.1f}–{max(times):.1f} ms")
    except BaseException:
        for log in pathlib.Path(folder).glob("*.log"):
            sys.stderr.write(f"{log.name}: {log.read_text()[-1000:]}\n")
        raise
    finally:
        for program in programs:
            program.terminate()
        for program in programs:
            program.wait()


if __name__ == "__main__":
    if os.environ.get("REEVALUATE_INSIDE") != "1":
        os.environ["REEVALUATE_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory() as scratch:
        measure(scratch, sys.argv[1])
