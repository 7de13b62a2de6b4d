"""A program behind an agent vif: sends UDP datagrams that are for the router itself back to where they came from, until it is ended.

Usage: agent_frames.py INTERFACE
"""

import socket
import struct
import sys

TYPE = 0x88B5
ROUTER_ITSELF, TRANSMIT = 4, 0

port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(TYPE))
port.bind((sys.argv[1], TYPE))
print("ready", flush=True)
while True:
    frame = port.recv(65536)
    vif, vrf, command = struct.unpack("!HHH", frame[14:20])
    packet = frame[44:]
    if command != ROUTER_ITSELF or packet[12:14] != b"\x08\x00" or packet[23] != 17:
        continue
    # Addresses and ports change places, which leaves both checksums as they are.
    swapped = packet[6:12] + packet[0:6] + packet[12:26] + packet[30:34] + packet[26:30] + packet[36:38] + packet[34:36] + packet[38:]
    port.send(frame[6:12] + frame[6:14] + struct.pack("!HHH24x", vif, vrf, TRANSMIT) + swapped)
