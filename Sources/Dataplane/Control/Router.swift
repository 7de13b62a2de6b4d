public import NetTypes

/// The router: its tables, its ports and its workers, and the one way to change them.
///
/// # Thread-safety
/// Every public method may be called from any thread; they are serialised by one lock, which no worker ever takes.
public final class Router: @unchecked Sendable {
    public typealias PortFactory = @Sendable (PortSpec) throws(PortError) -> Port

    /// Ports are opened by `portFactory` when a `PortSpec` is applied.
    public init(_ configuration: RouterConfiguration, pool: BufferPool, portFactory: @escaping PortFactory) { fatalError("being written") }

    /// Starts one pinned thread per worker.
    public func start() { fatalError("being written") }
    /// Stops and joins the workers, closes the ports. The tables stay readable.
    public func stop() { fatalError("being written") }
    /// Without `start`: runs one worker in the calling thread until every port is exhausted and all is transmitted.
    public func runUntilExhausted() { fatalError("being written") }

    public func apply(_ operations: [RouterOperation]) -> [RouterOutcome] { fatalError("being written") }

    // Reading. Lists are in key order; `after` nil starts at the beginning; fewer than `limit` means the end.
    public func ports() -> [PortReading] { fatalError("being written") }
    public func vifs(after: VifID?, limit: Int) -> [VifReading] { fatalError("being written") }
    public func vrfs(after: VRFID?, limit: Int) -> [VRFReading] { fatalError("being written") }
    public func nextHops(after: NextHopID?, limit: Int) -> [NextHopReading] { fatalError("being written") }
    public func routes(vrf: VRFID, isIPv4: Bool, after: IPPrefix?, limit: Int) -> [RouteSpec] { fatalError("being written") }
    public func bridgeEntries(vrf: VRFID, after: MACAddress?, limit: Int) -> [BridgeEntrySpec] { fatalError("being written") }
    public func labels(after: Label?, limit: Int) -> [LabelSpec] { fatalError("being written") }
    public func vnis(after: VNI?, limit: Int) -> [VNISpec] { fatalError("being written") }
    /// Flow entries at table indices ≥ `from`; `next` is where to go on, nil at the end.
    public func flows(from: UInt32, limit: Int) -> (flows: [FlowReading], next: UInt32?) { fatalError("being written") }
    public func status() -> RouterStatus { fatalError("being written") }
    public func clearCounters(drops: Bool, vifs: Bool) { fatalError("being written") }

    /// `handler` is called with every trapped packet, from a thread of the router's; it must not block. Returns a token for `removeTrapListener`.
    public func addTrapListener(_ handler: @escaping @Sendable (TrapPacket) -> Void) -> Int { fatalError("being written") }
    public func removeTrapListener(_ token: Int) { fatalError("being written") }
    public func send(_ packet: OutgoingPacket) -> RouterOutcome { fatalError("being written") }
}
