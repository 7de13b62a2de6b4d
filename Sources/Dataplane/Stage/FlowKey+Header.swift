import NetTypes

extension FlowKey {
    /// Of an IP header whose length has been checked, the packet's own or a quoted one; `proto` and the ports (host order, 0: none) stand behind it, and are the caller's to find.
    @inline(__always) init(vrf: UInt32, proto: UInt8, isIPv4: Bool, header: UnsafeMutableRawPointer, sourcePort: UInt16, destinationPort: UInt16) {
        if isIPv4 {
            let ip = IPv4(header)
            self.init(
                vrf: vrf, proto: proto, ipv4Source: ip.source, ipv4Destination: ip.destination, sourcePort: sourcePort,
                destinationPort: destinationPort)
        } else {
            let source = IPv6(header).source, destination = IPv6(header).destination
            self.init(
                vrf: vrf, proto: proto, source: IPv6Words(high: source.high, low: source.low),
                destination: IPv6Words(high: destination.high, low: destination.low), sourcePort: sourcePort, destinationPort: destinationPort)
        }
    }
}
