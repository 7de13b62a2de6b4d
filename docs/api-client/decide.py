"""Decides about flows that a policy says to trap: `decide.py SOCKET PORT…` lets those to the given destination ports pass and drops the others.

Each decision is a line. Ends with the process.
"""

import ipaddress
import sys

from vrouter_api import Dataplane, pb


def end(address, port):
    return f"{ipaddress.ip_address(address)}:{port}"


def main():
    router = Dataplane(sys.argv[1])
    allowed = {int(port) for port in sys.argv[2:]}
    for trap in router.traps():
        if trap is None:
            print("listening", flush=True)
            continue
        if trap.reason != pb.TRAP_REASON_FLOW or not trap.HasField("flow_key"):
            continue
        # The key has the flow's generation: when the flow is gone by now, the answer is refused and hits nobody else's.
        key = trap.flow_key
        passes = key.destination_port in allowed
        action = pb.FLOW_ACTION_FORWARD if passes else pb.FLOW_ACTION_DROP
        result = router.apply([pb.Operation(upsert=pb.Object(flow=pb.Flow(key=key, action=action, cookie=0xDEC1DE)))])[0]
        said = "forward" if passes else "drop"
        print(f"{said} {key.protocol} {end(key.source, key.source_port)} > {end(key.destination, key.destination_port)} {pb.Code.Name(result.code)}", flush=True)


main()
