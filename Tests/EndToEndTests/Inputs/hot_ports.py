"""Adds and removes ports of several kinds, each with a vif, until it is told to end (SIGTERM); then prints how often.

Usage: hot_ports.py SOCKET INTERFACE CAPTURE (with docs/api-client in PYTHONPATH)

INTERFACE is one in the router's namespace, CAPTURE a file that is read.
"""

import itertools
import signal
import sys
import time

from vrouter_api import Dataplane, mac, pb

socket, interface, capture = sys.argv[1:4]
over = []
signal.signal(signal.SIGTERM, lambda number, frame: over.append(number))
router = Dataplane(socket)
drivers = [
    {"dpdk": pb.DpdkDriver(device="net_tap9,iface=hot9")},
    {"pcap": pb.PcapDriver(interface=interface)},
    {"pcap_file": pb.PcapFileDriver(input=capture)},
    {"dpdk": pb.DpdkDriver(device="net_null9,size=64")},
    {"dpdk": pb.DpdkDriver(device=f"net_af_packet9,iface={interface}")},
]
router.upsert(pb.Object(vrf=pb.Vrf(id=9, name="hot")))
rounds = 0
for driver in itertools.cycle(drivers):
    router.upsert(
        pb.Object(port=pb.Port(name="hot", queues=2 if rounds % 2 else 1, **driver)),
        pb.Object(vif=pb.Vif(id=9, name="hot", kind=pb.VIF_KIND_VIRTUAL, port="hot", vrf=9, mac=mac("00:00:5e:00:01:00"))))
    time.sleep(0.05)
    router.delete(pb.Key(vif=9), pb.Key(port="hot"))
    rounds += 1
    if over:
        break
print(rounds)
