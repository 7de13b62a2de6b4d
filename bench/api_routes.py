#!/usr/bin/python3
"""W10 through the API: routes a second that a running vrouter takes over its Unix socket, in Apply calls of 10,000 operations.

Starts the vrouter of $VROUTER_BIN (or .build/release) on a socket of its own, without ports, and ends it. The requests are serialized before the clock
starts, and replies are kept as octets until it has stopped: what is timed is the transport, the server and the table, not this client's Python. Two
calls are under way at a time, so that the server need not wait for the client. Every result must be OK and the table must hold the routes.

    bench/api_routes.py [--routes 250000] [--json FILE]
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "docs/api-client"))

import grpc  # noqa: E402
from vrouter_api import MAXIMUM_BATCH, Dataplane, pb  # noqa: E402


def prefixes(count):
    """Internet-like: nine of ten are /24, one is /32; distinct, in random order, repeatable."""
    generator = random.Random(0x5EED)
    networks = generator.sample(range(0x010000, 0x7F0000), count)
    return [((n << 8) | (generator.randrange(256) if i % 10 == 0 else 0), 32 if i % 10 == 0 else 24) for i, n in enumerate(networks)]


def requests(routes):
    """Serialized Apply requests."""
    out = []
    for start in range(0, len(routes), MAXIMUM_BATCH):
        request = pb.ApplyRequest()
        for index, (network, length) in enumerate(routes[start : start + MAXIMUM_BATCH]):
            route = request.operations.add().upsert.route
            route.vrf, route.address, route.prefix_length, route.next_hop = 1, network.to_bytes(4, "big"), length, 0
            route.label = 16 + index % 4096
        out.append(request.SerializeToString())
    return out


def measure(socket, count):
    client = Dataplane(socket)
    client.upsert(pb.Object(vrf=pb.Vrf(id=1, name="blue")))
    call = client.channel.unary_unary("/dataplane.v1.Dataplane/Apply")
    work = requests(prefixes(count))
    begun = time.monotonic()
    replies, pending = [], []
    for request in work:
        pending.append(call.future(request, timeout=120))
        if len(pending) == 2:
            replies.append(pending.pop(0).result())
    replies += [reply.result() for reply in pending]
    seconds = time.monotonic() - begun
    refused = [r.message for octets in replies for r in pb.ApplyResponse.FromString(octets).results if r.code != pb.CODE_OK]
    if refused:
        raise SystemExit(f"{len(refused)} routes were refused, the first with: {refused[0]}")
    table = next(t for t in client.status().tables if t.name == "route")
    if table.used != count:
        raise SystemExit(f"the table holds {table.used} routes, not {count}")
    client.close()
    return seconds, table.memory_bytes / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--routes", type=int, nargs="+", default=[250_000, 1_000_000], help="how many, several runs")
    parser.add_argument("--json", help="write the figures to this file, one object per run")
    options = parser.parse_args()
    program = pathlib.Path(os.environ.get("VROUTER_BIN", HERE.parent / ".build/release")) / "vrouter"
    if not program.is_file():
        raise SystemExit(f"{program}: no such program; run './run build', or name its folder in VROUTER_BIN")
    figures = []
    for count in options.routes:
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "vrouter.yaml"
            config.write_text(f"workers: 1\nidle: sleep\napi: {{socket: {folder}/api.sock}}\n")
            with open(f"{folder}/log", "wb") as log:
                vrouter = subprocess.Popen([program, "--config", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            try:
                deadline = time.monotonic() + 20
                while not os.path.exists(f"{folder}/api.sock") and vrouter.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
                if vrouter.poll() is not None or not os.path.exists(f"{folder}/api.sock"):
                    raise SystemExit("vrouter did not start:\n" + pathlib.Path(f"{folder}/log").read_text())
                grpc.channel_ready_future(Dataplane(f"{folder}/api.sock").channel).result(timeout=20)
                seconds, octets = measure(f"{folder}/api.sock", count)
                resident = next(int(line.split()[1]) for line in open(f"/proc/{vrouter.pid}/status") if line.startswith("VmRSS")) * 1024
            finally:
                vrouter.terminate()
                vrouter.wait()
        name = f"api-{count // 1000}k"
        print(f"W10-{name}: {count} routes in {seconds:.2f} s: {count / seconds / 1e6:.2f} M/s; {octets:.1f} B/route; vrouter resident {resident >> 20} MiB")
        figures.append(
            {"id": "W10", "variant": name, "name": f"W10-{name}", "title": f"{count} routes through the API", "objects": count, "packets": 0,
             "cycles_per_packet": None, "ns_per_packet": seconds / count * 1e9, "instructions_per_packet": None, "ratio_to_floor": None,
             "bytes_per_entry": octets, "per_second": count / seconds, "rss_bytes": resident, "peers": []})
    if options.json:
        pathlib.Path(options.json).write_text("[\n" + ",\n".join(json.dumps(f, sort_keys=True) for f in figures) + "\n]\n")


if __name__ == "__main__":
    main()
