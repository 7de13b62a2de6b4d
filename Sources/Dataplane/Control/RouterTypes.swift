public import NetTypes

/// What `Router.apply` takes and answers. Objects that come by the hundred thousand lie in the value itself; the large and few in a box of their own, so that an array
/// of routes is no larger than its routes.
public enum RouterObject: Hashable, Sendable {
    indirect case port(PortSpec), vif(VifSpec), vrf(VRFSpec), nextHop(NextHopSpec), flow(FlowSpec), qosMap(QoSMapSpec), mirror(MirrorSpec)
    indirect case policy(PolicySpec), addressGroup(AddressGroupSpec), natRule(NATRuleSpec), flowAgeing(FlowAgeingSpec)
    case route(RouteSpec), bridgeEntry(BridgeEntrySpec), label(LabelSpec), vni(VNISpec), forwardingClass(ForwardingClassSpec)
}

public enum RouterKey: Hashable, Sendable {
    case port(String), vif(VifID), vrf(VRFID), nextHop(NextHopID), route(VRFID, IPPrefix), bridgeEntry(VRFID, MACAddress)
    case label(Label), vni(VNI), flow(FlowKeySpec), forwardingClass(UInt8), qosMap(UInt8), mirror(UInt32), policy(PolicyID)
    case addressGroup(AddressGroupID), natRule(NATRuleID), flowAgeing(FlowAgeingID)
}

public enum RouterOperation: Hashable, Sendable {
    case upsert(RouterObject)
    case delete(RouterKey)
}

/// The verdict on one operation. The text says what was refused, why and what to do.
public enum RouterOutcome: Hashable, Sendable {
    case ok
    case invalid(String)
    case notFound(String)
    case inUse(String)
    /// Names the table and its capacity.
    case tableFull(String)
    case portFailed(String)
    case unsupported(String)
}

public struct RouterConfiguration: Sendable {
    public enum IdlePolicy: String, Sendable, CaseIterable {
        /// Never sleeps: one core at 100 %, lowest latency.
        case poll
        /// Polls, then yields, then sleeps on the ports' descriptors when nothing arrives.
        case adaptive
        /// Sleeps as soon as nothing arrives.
        case sleep
    }
    /// One worker per entry; the core it is pinned to, nil: not pinned.
    public var cores: [Int?]
    public var idle: IdlePolicy
    public var flowCapacity: Int
    public var nextHopCapacity: Int
    public var vifCapacity: Int
    public var vrfCapacity: Int
    /// Learned MAC addresses at most, of all VRFs together.
    public var learnedCapacity = 1 << 18
    /// Dropped packets that each worker keeps for inspection; 0: none.
    public var dropLogCapacity = 200
    /// Decisions that each worker remembers for rules that log.
    public var policyLogCapacity = 1024
    /// Upper bounds of tables that otherwise grow; 0: bounded by memory and the size of the key alone.
    public var routeCapacity = 0, bridgeCapacity = 0, labelCapacity = 0, vniCapacity = 0
    /// When receive queues are given to other workers by their load; nil: only when told so.
    public var rebalance: RebalancePolicy? = RebalancePolicy()
    /// Datagrams whose fragments are tracked at one time, per worker.
    public var fragmentCapacity = 1024
    public var fragmentPolicy = FragmentPolicy.hold
    public init(
        cores: [Int?] = [nil], idle: IdlePolicy = .adaptive, flowCapacity: Int = 1 << 19, nextHopCapacity: Int = 1 << 19, vifCapacity: Int = 4352,
        vrfCapacity: Int = 4096
    ) {
        self.cores = cores
        self.idle = idle
        self.flowCapacity = flowCapacity
        self.nextHopCapacity = nextHopCapacity
        self.vifCapacity = vifCapacity
        self.vrfCapacity = vrfCapacity
    }
}

public struct VifCounters: Hashable, Sendable {
    public var receivedPackets: UInt64 = 0, receivedBytes: UInt64 = 0
    public var transmittedPackets: UInt64 = 0, transmittedBytes: UInt64 = 0
    public var drops: UInt64 = 0
    /// Refused by the port's transmit queue; also counted as drops of reason `transmitQueueFull`.
    public var transmitErrors: UInt64 = 0
    /// Of the drops: refused by antispoofing.
    public var spoofed: UInt64 = 0
    public init() {}
}

public struct PortReading: Sendable {
    public var spec: PortSpec; public var statistics: PortStatistics; public var device: String; public var driver: String; public var mtu: Int
    public var link: PortLink; public var receiveQueues: Int; public var transmitQueues: Int; public var traits: PortTraits
    /// Received packets are spread over the workers at the moment.
    public var isSpread: Bool
}
public struct VifReading: Sendable { public var spec: VifSpec; public var counters: VifCounters; public var flows: FlowQuotaReading }
public struct VRFReading: Sendable {
    public var spec: VRFSpec; public var ipv4Routes: Int; public var ipv6Routes: Int; public var bridgeEntries: Int
    public var flows: FlowQuotaReading
}
public struct NextHopReading: Sendable { public var spec: NextHopSpec; public var references: Int }

public struct FlowReading: Sendable {
    public var spec: FlowSpec
    public var index: UInt32
    /// Index of the reverse entry; nil when it is gone.
    public var reverseIndex: UInt32?
    public var generation: UInt32
    public var packets: UInt64
    public var bytes: UInt64
    /// TCP state in the letters of `flow -l`; empty for other protocols.
    public var tcpState: String
    public var ingressVif: VifID
    public var nextHop: NextHopID
    public var idleSeconds: Int
    /// The direction of the first packet.
    public var isForward: Bool
    public var udpSourcePort: UInt16
    /// Nil: its action is not drop.
    public var dropReason: FlowDropReason?
    /// The vif that it counts for.
    public var owner: VifID
    /// It is gone: it was evicted, and its place has not been used again.
    public var isEvicted = false
    /// It stands for many connections: ports, or an address, are zero because they do not matter.
    public var isFat = false
}

/// What became of flows since the start. Entries are two to a flow.
public struct FlowStatistics: Hashable, Sendable {
    public var entries = 0, capacity = 0
    public var created: UInt64 = 0, removed: UInt64 = 0
    /// Flows removed because they were idle, because their TCP connection was over, to make room, because nobody decided what becomes of them.
    public var aged: UInt64 = 0, closed: UInt64 = 0, evicted: UInt64 = 0, unanswered: UInt64 = 0
    /// Insertions refused for lack of room, or put off because another worker was at the same place.
    public var full: UInt64 = 0, busy: UInt64 = 0
    /// Packets kept for flows that wait for a decision, at this moment.
    public var heldPackets = 0
    /// Packets that wanted a new flow and were dropped: a limit was reached, they came too fast, or the owner had more than its share of a table that was nearly full.
    public var overLimit: UInt64 = 0, overRate: UInt64 = 0, overShare: UInt64 = 0
    /// How full the table is: 0 there is room, 1 from 13/16, 2 from 15/16, 3 from 31/32.
    public var pressure = 0
    public init() {}
}

/// Counters that add up: received + generated = forwarded + dropped + trapped + consumed, and what is between two workers at the moment.
public struct RouterCounters: Hashable, Sendable {
    public var received: UInt64 = 0, forwarded: UInt64 = 0, dropped: UInt64 = 0, trapped: UInt64 = 0, consumed: UInt64 = 0
    /// Packets the router made itself.
    public var generated: UInt64 = 0
    /// Frames handed to another worker to be sent, and taken from others; fragments that wait for their first, and that need wait no longer. In the totals the
    /// difference is on the way.
    public var handedOver: UInt64 = 0, takenOver: UInt64 = 0
    public init() {}
    public var isBalanced: Bool {
        received &+ generated &+ takenOver == forwarded &+ dropped &+ trapped &+ consumed &+ handedOver
    }
}

public struct WorkerReading: Sendable {
    public var id: Int
    public var core: Int?
    public var counters: RouterCounters
    public var polls: UInt64, idlePolls: UInt64, sleeps: UInt64, busyCycles: UInt64, bursts: UInt64
    /// Packets received here and given to other workers to process.
    public var spread: UInt64
    /// Why the worker is not on its core; nil: it is, or has none, or does not run.
    public var pinError: String?
    /// Those that it polls.
    public var queues: [QueueReading] = []
    /// Those that are not zero, since the start.
    public var drops: [(reason: DropReason, packets: UInt64)] = []
}

/// A receive queue, at the worker that polls it.
public struct QueueReading: Hashable, Sendable {
    public var port: String
    public var queue: Int
    /// Received, since the port is there, whoever polled.
    public var packets: UInt64
    /// TSC cycles for them, up to the transmit buffers; of a queue that is spread: for receiving and distributing. 0 with a single worker: not measured.
    public var cycles: UInt64
    public var isSpread: Bool
    /// It stays with its worker because somebody said so.
    public var isFixed: Bool
}

/// A receive queue that went from one worker to another to even out their load.
public struct QueueMove: Hashable, Sendable {
    public var port: String, queue: Int, from: Int, to: Int
    public var uptimeNanoseconds: UInt64
}

public struct RebalanceReading: Sendable {
    /// nil: queues stay where they are.
    public var policy: RebalancePolicy?
    public var moves: UInt64
    /// The latest, oldest first, at most `RebalancePolicy.remembered`.
    public var latest: [QueueMove]
}

public struct TableUsage: Sendable { public var name: String; public var used: Int; public var capacity: Int; public var memoryBytes: Int }

public struct RouterStatus: Sendable {
    public var uptimeNanoseconds: UInt64
    public var totals: RouterCounters
    public var workers: [WorkerReading]
    /// Every drop reason, also those at zero, in the order of `DropReason.allCases`.
    public var drops: [(reason: DropReason, packets: UInt64)]
    public var tables: [TableUsage]
    public var buffersInUse: Int
    public var buffersCapacity: Int
    public var tscHz: UInt64
    public var learning: LearningStatistics
    public var rebalance: RebalanceReading
    public var flows: FlowStatistics
}

/// A packet handed to the control program.
public struct TrapPacket: Sendable {
    /// `dhcp`, `dhcpv6` and `routerSolicitation` come from vifs with `services`, and to an address of the router itself (a renewal) from any workload;
    /// `dns` is to such an address.
    public enum Reason: UInt8, Sendable, CaseIterable {
        case arp = 1, resolve, l3Protocol, receive, neighbour
        case dhcp, dhcpv6, routerSolicitation, dns
        /// A policy says trap: the flow is held until it is programmed, 2 s at most.
        case flow
    }
    /// A flow that is held: what to program, or to delete.
    public struct HeldFlow: Hashable, Sendable {
        /// With the flow's generation, so that an answer that comes late hits no other.
        public var key: FlowKeySpec
        public var index: UInt32
    }
    public var reason: Reason
    public var vif: VifID
    public var vrf: VRFID
    public var nextHop: NextHopID
    /// From the Ethernet header.
    public var packet: [UInt8]
    /// With reason `flow`; nil when it is gone meanwhile.
    public var flow: HeldFlow?
    public init(reason: Reason, vif: VifID, vrf: VRFID, nextHop: NextHopID, packet: [UInt8]) {
        self.reason = reason
        self.vif = vif
        self.vrf = vrf
        self.nextHop = nextHop
        self.packet = packet
    }
}

/// A packet from the control program.
public struct OutgoingPacket: Sendable {
    public enum Mode: UInt8, Sendable { case transmit = 1, receive = 2 }
    public var mode: Mode
    public var vif: VifID
    public var packet: [UInt8]
    public init(mode: Mode, vif: VifID, packet: [UInt8]) {
        self.mode = mode
        self.vif = vif
        self.packet = packet
    }
}
