"""Writes packets as a Swift file of octets: what the make-golden-*.py scripts have in common."""


def write(script, name, packets):
    print(f"// swift-format-ignore-file\n// Made by scripts/{script} with scapy. Do not edit.\n")
    print(f"enum {name} {{")
    for packet, content in packets.items():
        octets = bytes(content).hex()
        lines = [octets[at:at + 120] for at in range(0, len(octets), 120)]
        print(f"    static let {packet} = hex(")
        print(" +\n".join(f'        "{line}"' for line in lines) + ")")
    print("}")
