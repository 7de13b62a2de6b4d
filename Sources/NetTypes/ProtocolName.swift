/// The IP protocols (IANA protocol numbers) that people write by name in rules and flows.
public enum ProtocolName {
    public static let all: [(name: String, number: UInt8)] = [("icmp", 1), ("tcp", 6), ("udp", 17), ("dccp", 33), ("icmpv6", 58), ("sctp", 132)]
    /// Those that have ports: TCP, UDP, DCCP, SCTP and UDP-Lite.
    public static let withPorts: [UInt8] = [6, 17, 33, 132, 136]

    /// Lower case only.
    public static func number(of name: String) -> UInt8? { all.first { $0.name == name }?.number }
    public static func name(of number: UInt8) -> String? { all.first { $0.number == number }?.name }
}
