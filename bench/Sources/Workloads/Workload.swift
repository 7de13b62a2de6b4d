public import Dataplane
import NetTypes

/// A router programmed for one purpose, the trace it is fed, and what has to come out of it.
///
/// Packets come in by one port and leave by one kind of port; every packet must leave, `added` octets longer than it came, and equal to what
/// `expected` says. A workload is data: the same one runs between ports in memory and on a DPDK device beside other programs.
public struct Workload: Sendable {
    /// The number of the workload in the table of targets: W1.
    public var id: String
    /// Which of its variants, unique under the id: "10k", "10k-v6".
    public var variant: String
    public var title: String
    /// Octets that a packet has grown by when it leaves.
    public var added: Int
    public var objects: @Sendable () -> [RouterObject]
    public var trace: @Sendable () -> [[UInt8]]
    public var entersByFabric: Bool
    public var leavesByFabric: Bool
    /// The frame that leaves for a frame that came; the second argument is what did leave, from which the UDP source port of a tunnel is taken (any is
    /// right, within 49152…65535).
    public var expected: @Sendable ([UInt8], [UInt8]) -> [UInt8]
    /// Flow entries are kept, two for every 5-tuple of the trace.
    public var keepsFlows: Bool
    /// The limit of cycles per packet that is aimed at (on the machine of the targets); 0: none.
    public var target: Double

    public init(
        id: String, variant: String, title: String, added: Int = 0, entersByFabric: Bool = false, leavesByFabric: Bool = false,
        keepsFlows: Bool = false, target: Double = 0, objects: @escaping @Sendable () -> [RouterObject],
        trace: @escaping @Sendable () -> [[UInt8]], expected: @escaping @Sendable ([UInt8], [UInt8]) -> [UInt8] = Workload.routed
    ) {
        self.id = id
        self.variant = variant
        self.title = title
        self.added = added
        self.objects = objects
        self.trace = trace
        self.entersByFabric = entersByFabric
        self.leavesByFabric = leavesByFabric
        self.expected = expected
        self.keepsFlows = keepsFlows
        self.target = target
    }

    /// "W1-10k-v6"
    public var name: String { "\(id)-\(variant)" }
    public var receivingPort: String { entersByFabric ? Program.fabricPort : Program.sourcePort }
    public var transmittingPort: String { leavesByFabric ? Program.fabricPort : Program.destinationPort }

    // MARK: - What leaves

    /// Routed to the destination: its MAC address, TTL less one.
    public static let routed: @Sendable ([UInt8], [UInt8]) -> [UInt8] = { came, _ in
        Frames.ethernet(Program.workload, .gateway, came[14] >> 4 == 6 ? 0x86DD : 0x0800) + Frames.lowered(came)
    }

    /// Came out of a tunnel, where the TTL had been lowered: only the MAC addresses are new.
    static func delivered(_ packet: ArraySlice<UInt8>) -> [UInt8] {
        Frames.ethernet(Program.workload, .gateway, (packet.first ?? 0) >> 4 == 6 ? 0x86DD : 0x0800) + packet
    }

    /// The UDP source port of a tunnel packet that left, if it is one that it may be; else one that it is not.
    static func entropyPort(_ left: [UInt8]) -> UInt16 {
        guard left.count > 35 else { return 0 }
        let port = UInt16(left[34]) << 8 | UInt16(left[35])
        return port >= 49152 ? port : 0
    }
}
