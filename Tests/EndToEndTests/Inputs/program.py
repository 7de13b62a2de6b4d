"""Programs a router with the client of docs/api-client, hands it the packets of a capture file, and leaves everything there.

Usage: program.py SOCKET INPUT OUTPUT BACK (with docs/api-client in PYTHONPATH)

INPUT is what a workload sends, OUTPUT what its neighbour receives, BACK what the workload itself does. Ends when all of INPUT was taken.
"""

import sys
import threading
import time

from scapy.all import rdpcap
from vrouter_api import Dataplane, address, mac, pb, prefix

socket, source, sink, back = sys.argv[1:5]
COOKIE = 7
GATEWAY = mac("00:00:5e:00:01:00")


def vif(number, name, port):
    return pb.Object(
        vif=pb.Vif(
            id=number, name=name, kind=pb.VIF_KIND_VIRTUAL, port=port, vrf=7, mac=GATEWAY, addresses=[address("10.1.0.1")], keeps_flows=True,
            cookie=COOKIE))


router = Dataplane(socket)
router.upsert(
    pb.Object(port=pb.Port(name="out", pcap_file=pb.PcapFileDriver(output=sink), cookie=COOKIE)),
    pb.Object(port=pb.Port(name="in", pcap_file=pb.PcapFileDriver(output=back), cookie=COOKIE)),
    pb.Object(vrf=pb.Vrf(id=7, name="python", cookie=COOKIE)),
    vif(4, "py-out", "out"),
    pb.Object(next_hop=pb.NextHop(id=9, encap=pb.EncapNextHop(vif=4, destination_mac=mac("02:00:00:00:01:0b"), source_mac=GATEWAY), cookie=COOKIE)),
    pb.Object(next_hop=pb.NextHop(id=10, vrf=pb.VrfNextHop(vrf=7, bridges=True), cookie=COOKIE)),
    pb.Object(route=pb.Route(vrf=7, **prefix("10.1.0.11/32"), next_hop=9, proxies=True, cookie=COOKIE)),
    pb.Object(route=pb.Route(vrf=7, **prefix("fd00:1::/64"), next_hop=9, cookie=COOKIE)),
    pb.Object(label=pb.LabelEntry(label=77, next_hop=9, cookie=COOKIE)),
    pb.Object(vni=pb.VniEntry(vni=5077, next_hop=10, cookie=COOKIE)),
    vif(3, "py-in", "in"))

# The packets come when all of that is there: a port that reads a file would not wait for its vif.
done = threading.Event()


frames = rdpcap(source)


def packets():
    for packet in frames:
        yield pb.PacketOut(mode=pb.PacketOut.MODE_RECEIVE, vif=3, packet=bytes(packet))
    done.wait(60)


traps = router.channel.stream_stream(
    "/dataplane.v1.Dataplane/Traps", request_serializer=pb.PacketOut.SerializeToString, response_deserializer=pb.TrapEvent.FromString)(packets())
deadline = time.monotonic() + 20
# Until the last was taken: what is still under way when the stream is cancelled is lost.
while not any(o.vif.id == 3 and o.vif.stats.rx_packets == len(frames) for o in router.read(pb.TABLE_VIF)):
    if time.monotonic() > deadline:
        sys.exit(f"vif 3 did not receive {len(frames)} packets within 20 s")
    time.sleep(0.02)
done.set()
traps.cancel()
router.close()
