import CPlatform
import NetTypes
import Synchronization

/// Every table the workers read, in one place.
///
/// # Thread-safety
/// The control thread (under the router's lock) writes, workers read; memory is freed after quiescence. Flows are also inserted by workers.
final class ForwardingTables: @unchecked Sendable {
    /// The two route tables of a VRF; `RouteTable.none` while the VRF does not exist.
    struct Roots {
        var ipv4: UInt32
        var ipv6: UInt32
    }

    let quiescence: Quiescence
    /// The control side's own slot there, one after the workers'; see `readingFlows`.
    private let controlReader: Int
    let vifs: SlotTable<Vif>
    let nextHops: SlotTable<NextHop>
    /// How many objects name a next hop. Under the router's lock.
    let references: ReferenceCounts
    let routes: RouteTable
    let leaves: RouteLeaves
    let bridge: BridgeTable
    let labels = IndexTable(capacity: Int(Label.maximum) + 1)
    let vnis = IndexTable(capacity: Int(VNI.maximum) + 1)
    let flows: FlowTable
    let endpoints: TunnelEndpoints
    let vlans: VLANTable
    let domains: BroadcastDomains
    let qos = QoSTables()
    let policies: PolicyTable
    let fat: FatFlows
    let nat: NATTables
    /// Seconds, written by the control thread: when learned addresses are seen.
    let learnClock = Atomic<UInt32>(0)
    /// By VRF id; see `roots(_:)`.
    private let rootWords: UnsafeMutablePointer<Atomic<UInt64>>
    /// By VRF id: how many of its vifs keep flows; and of all VRFs together, at `vrfCapacity`.
    private let flowVifs: UnsafeMutablePointer<Atomic<UInt32>>
    let vrfCapacity: Int
    /// The vif of the fabric and the one of the host behind it, for the cross-connect; `noVif` when there is none.
    let fabricVif = Atomic<UInt32>(ForwardingTables.noVif)
    let hostVif = Atomic<UInt32>(ForwardingTables.noVif)
    /// Unretained pointer to the `ObservationSet` in force; nil while nobody watches frames.
    let observation = Atomic<UnsafeMutableRawPointer?>(nil)
    /// Unretained pointer to the `FlowMirrors` in force; nil while no flow names a mirror.
    let flowMirrors = Atomic<UnsafeMutableRawPointer?>(nil)
    /// Goes up with every change that may alter where a packet goes; a flow's cached next hop is valid while it stands.
    let generation = Atomic<UInt32>(1)

    /// Of the hashes that choose paths; the same for all workers.
    let hashSeed = randomSeed()

    static let noVif: UInt32 = .max
    static let noVRF: UInt32 = .max

    init(_ configuration: RouterConfiguration) {
        quiescence = Quiescence(workerCount: configuration.cores.count + 1)
        controlReader = configuration.cores.count
        vifs = SlotTable(capacity: configuration.vifCapacity, quiescence: quiescence)
        nextHops = SlotTable(capacity: configuration.nextHopCapacity, quiescence: quiescence)
        references = ReferenceCounts(capacity: configuration.nextHopCapacity)
        routes = RouteTable(quiescence: quiescence)
        leaves = RouteLeaves(quiescence: quiescence)
        endpoints = TunnelEndpoints(quiescence: quiescence)
        bridge = BridgeTable(quiescence: quiescence)
        policies = PolicyTable(quiescence: quiescence)
        fat = FatFlows(quiescence: quiescence)
        nat = NATTables(quiescence: quiescence)
        flows = FlowTable(
            capacity: configuration.flowCapacity, laneCount: configuration.cores.count + 1, quiescence: quiescence,
            vifCapacity: configuration.vifCapacity, vrfCapacity: configuration.vrfCapacity)
        vrfCapacity = configuration.vrfCapacity
        vlans = VLANTable(quiescence: quiescence)
        domains = BroadcastDomains(capacity: configuration.vrfCapacity)
        rootWords = .allocate(capacity: vrfCapacity)
        for index in 0..<vrfCapacity { (rootWords + index).initialize(to: Atomic(.max)) }
        flowVifs = .allocate(capacity: vrfCapacity + 1)
        for index in 0...vrfCapacity { (flowVifs + index).initialize(to: Atomic(0)) }
    }

    deinit {
        rootWords.deinitialize(count: vrfCapacity)
        rootWords.deallocate()
        flowVifs.deinitialize(count: vrfCapacity + 1)
        flowVifs.deallocate()
    }

    @inline(__always) func roots(_ vrf: UInt32) -> Roots {
        guard Int(vrf) < vrfCapacity else { return Roots(ipv4: RouteTable.none, ipv6: RouteTable.none) }
        let word = rootWords[Int(vrf)].load(ordering: .acquiring)
        return Roots(ipv4: UInt32(truncatingIfNeeded: word), ipv6: UInt32(truncatingIfNeeded: word >> 32))
    }

    func setRoots(_ vrf: UInt32, _ roots: Roots) {
        rootWords[Int(vrf)].store(UInt64(roots.ipv6) << 32 | UInt64(roots.ipv4), ordering: .releasing)
    }

    /// A VRF keeps flows when one of its vifs does: what comes for it out of a tunnel is looked up too.
    @inline(__always) func keepsFlows(vrf: UInt32) -> Bool {
        Int(vrf) < vrfCapacity && flowVifs[Int(vrf)].load(ordering: .relaxed) != 0
    }
    /// Whether any VRF does.
    @inline(__always) var keepsFlows: Bool { flowVifs[vrfCapacity].load(ordering: .relaxed) != 0 }

    /// A vif that keeps flows comes into a VRF, or leaves it.
    func countFlowVif(vrf: UInt32, by difference: Int) {
        for index in [Int(vrf), vrfCapacity] where index <= vrfCapacity {
            flowVifs[index].store(
                UInt32(truncatingIfNeeded: Int(flowVifs[index].load(ordering: .relaxed)) + difference), ordering: .releasing)
        }
    }

    /// For the control thread (the holder of the router's lock), around everything that looks at flow entries: what it sees inside `body` is not recycled meanwhile.
    /// `body` waits for no worker.
    func readingFlows<Result>(_ body: (FlowTable) -> Result) -> Result {
        quiescence.online(controlReader)
        defer { quiescence.offline(controlReader) }
        return body(flows)
    }

    func bumpGeneration() { generation.wrappingAdd(1, ordering: .releasing) }
}
