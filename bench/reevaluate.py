#!/usr/bin/python3
"""How long a change of a policy or of an address takes among 100,000 flows: `reevaluate.py VROUTER [FLOWS] [RULES]`.

Starts the router on a capture with one packet for each flow, half of them to a vif with a policy, and changes the policy over the API: the time of an Apply call, which ends when the
flows are decided, and, for comparison, that of an Apply that changes nothing. Then half of the flows have their address moved to another workload: such an Apply ends when each is marked
to ask with its next packet. Needs python3-grpcio, python3-protobuf, protobuf-compiler.
"""

import pathlib
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "docs/api-client"))
from vrouter_api import Dataplane, address, pb  # noqa: E402

FLOWS = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
RULES = int(sys.argv[3]) if len(sys.argv) > 3 else 10


def checksum(header):
    total = sum(struct.unpack(">10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(number):
    source, destination = 0x0A010000 + number // 50_000 + 11, 0x0A020001 + number % 2
    udp = struct.pack(">HHHH", 1024 + number // 2 % 50_000, 53, 26, 0) + bytes(18)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 46, 1, 0, 64, 17, 0, source, destination)
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return bytes.fromhex("00005e000100020000000111") + b"\x08\x00" + ip + udp


def policy(port):
    rules = [
        pb.PolicyRule(
            action=pb.POLICY_ACTION_PASS,
            remote=pb.PolicyAddresses(prefixes=pb.Prefixes(prefixes=[pb.Prefix(address=address(f"10.{n >> 8}.{n & 255}.0"), length=24)])),
            service=pb.PolicyService(protocol=17, destination_ports=[pb.PortRange(first=port, last=port)]))
        for n in range(RULES - 1)
    ]
    rules.append(pb.PolicyRule(action=pb.POLICY_ACTION_PASS, service=pb.PolicyService(protocol=17, destination_ports=[pb.PortRange(first=port, last=port)])))
    return pb.Object(policy=pb.Policy(id=1, name="p", default_action=pb.POLICY_ACTION_DENY, rules=rules))


def route(next_hop):
    return pb.Object(route=pb.Route(vrf=1, address=address("10.2.0.1"), prefix_length=32, next_hop=next_hop))


def main():
    with tempfile.TemporaryDirectory() as folder:
        capture, socket = f"{folder}/flows.pcap", f"{folder}/s.sock"
        with open(capture, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for number in range(FLOWS):
                frame = packet(number)
                file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
        vif = '{{id: {0}, name: v{0}, kind: virtual, port: p{0}, vrf: 1, mac: "00:00:5e:00:01:00", keepsFlows: true{1}}}'
        config = f"""
api: {{socket: {socket}}}
flows: {{capacity: {FLOWS * 4}}}
objects:
  vrfs: [{{id: 1, name: blue}}]
  policies: [{{id: 1, name: p, default: pass}}]
  ports: [{{name: p3, replay: {{file: {capture}, count: {FLOWS}}}}}, {{name: p4, sink: {{}}}}, {{name: p5, sink: {{}}}}]
  vifs: [{vif.format(3, "")}, {vif.format(4, ", ingressPolicies: [1]")}, {vif.format(5, "")}]
  nextHops: [{{id: 4, encap: {{vif: 4, destination: "02:00:00:00:01:12"}}}}, {{id: 5, encap: {{vif: 5, destination: "02:00:00:00:01:13"}}}}]
  routes: [{{vrf: 1, prefix: 10.2.0.1/32, nextHop: 4}}, {{vrf: 1, prefix: 10.2.0.2/32, nextHop: 5}}]
"""
        pathlib.Path(f"{folder}/v.yaml").write_text(config)
        router = subprocess.Popen([sys.argv[1], "--config", f"{folder}/v.yaml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                time.sleep(0.1)
                if pathlib.Path(socket).exists():
                    break
            api = Dataplane(socket, timeout=60)
            for _ in range(100):
                if api.status().totals.received >= FLOWS:
                    break
                time.sleep(0.1)
            flows = next(t.used for t in api.status().tables if t.name == "flow") // 2

            def timed(what, objects, dropping=None):
                begun = time.perf_counter()
                api.upsert(*objects)
                took = (time.perf_counter() - begun) * 1000
                if dropping is not None:
                    found = api._call("SummarizeFlows", pb.SummarizeFlowsRequest(), pb.FlowSummary).by_action["drop"]
                    assert found == dropping, f"{found} entries drop, not {dropping}"
                print(f"{what:28} {took:7.1f} ms")

            print(f"{flows} flows, {flows // 2} of them concerned, {RULES} rules")
            api.upsert(policy(53))
            for _ in range(3):
                timed("nothing changes", [policy(53)])
                timed("all that are concerned stop", [policy(54)], flows // 2 * 2)
                timed("and pass again", [policy(53)], 0)
            for _ in range(3):
                timed("their address moves", [route(5)], 0)
                timed("and moves back", [route(4)], 0)
        finally:
            router.terminate()
            router.wait()


main()
