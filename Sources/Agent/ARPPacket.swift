import NetTypes

/// An ARP packet for IPv4 over Ethernet, with its Ethernet header (RFC 826).
///
/// ```
///  0      destination MAC (6)   source MAC (6)   EtherType 0x0806
/// 14      hardware type 1 (2)   protocol type 0x0800 (2)   hardware length 6   protocol length 4   operation (2)
/// 22      sender MAC (6)   sender address (4)   target MAC (6)   target address (4)
/// ```
struct ARPPacket: Hashable, Sendable {
    enum Operation: UInt16, Sendable { case request = 1, reply = 2 }
    var destination: MACAddress
    var source: MACAddress
    var operation: Operation
    var senderMAC: MACAddress
    var senderAddress: IPv4Address
    var targetMAC: MACAddress
    var targetAddress: IPv4Address

    static let size = 42

    /// A request for `target`. `destination` is broadcast, or the last known MAC for a unicast poll (RFC 1122 section 2.3.2.1).
    static func request(for target: IPv4Address, from address: IPv4Address, mac: MACAddress, destination: MACAddress = .broadcast) -> ARPPacket {
        ARPPacket(
            destination: destination, source: mac, operation: .request, senderMAC: mac, senderAddress: address, targetMAC: .zero,
            targetAddress: target)
    }

    init(
        destination: MACAddress, source: MACAddress, operation: Operation, senderMAC: MACAddress, senderAddress: IPv4Address,
        targetMAC: MACAddress, targetAddress: IPv4Address
    ) {
        self.destination = destination
        self.source = source
        self.operation = operation
        self.senderMAC = senderMAC
        self.senderAddress = senderAddress
        self.targetMAC = targetMAC
        self.targetAddress = targetAddress
    }

    /// From a frame as received; octets past the packet are padding. Nil when it is not a whole ARP request or reply for IPv4 over Ethernet.
    init?(frame: [UInt8]) {
        guard frame.count >= Self.size, frame[12...21].elementsEqual([0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, frame[21]]),
            let operation = Operation(rawValue: UInt16(frame[21])), let destination = MACAddress(bytes: frame[0..<6]),
            let source = MACAddress(bytes: frame[6..<12]), let senderMAC = MACAddress(bytes: frame[22..<28]),
            let senderAddress = IPv4Address(bytes: frame[28..<32]), let targetMAC = MACAddress(bytes: frame[32..<38]),
            let targetAddress = IPv4Address(bytes: frame[38..<42])
        else { return nil }
        self.init(
            destination: destination, source: source, operation: operation, senderMAC: senderMAC, senderAddress: senderAddress,
            targetMAC: targetMAC, targetAddress: targetAddress)
    }

    /// The frame, padded to the Ethernet minimum of 60 octets (without FCS).
    var frame: [UInt8] {
        var bytes =
            destination.bytes + source.bytes + [0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, UInt8(truncatingIfNeeded: operation.rawValue)]
        bytes += senderMAC.bytes + senderAddress.bytes + targetMAC.bytes + targetAddress.bytes
        return bytes + Array(repeating: 0, count: 60 - Self.size)
    }
}
