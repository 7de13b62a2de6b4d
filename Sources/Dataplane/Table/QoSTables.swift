import NetTypes
import Synchronization

/// Quality of service: which forwarding class a packet is of, and how packets of a class are marked.
///
/// A *QoS map* leads from what a packet carries (the DSCP of its IP header, the traffic class of the MPLS label it came under, or, of a frame that is not IP, the
/// priority of its VLAN tag) to a *forwarding class*; the class says what it carries from here on: the DSCP of the inner header, of which the outer one is a copy,
/// the traffic class of an MPLS label, and the priority of a VLAN tag.
/// A map is named by a vif, for what comes in there, or by a flow, which goes before. What a map does not mention keeps its marks.
///
/// # Thread-safety
/// The control thread writes, workers read, one word at a time: while a map or class is changed, packets are marked by the old or the new entries.
final class QoSTables: @unchecked Sendable {
    static let classCapacity = 256, mapCapacity = 256
    private static let mapSize = 64 + 8 + 8
    /// Class id plus one, by map and mark; 0: none.
    private let classes: UnsafeMutablePointer<Atomic<UInt16>>
    /// By class id: valid << 31 | VLAN priority << 16 | traffic class << 8 | DSCP.
    private let marks: UnsafeMutablePointer<Atomic<UInt32>>
    /// Flows name maps, or sub-interfaces do, whose frames come in one burst with their parent's: then it is not enough to ask the vif of a burst's first packet.
    let isAskedOfEach = Atomic<Bool>(false)

    struct Marks: Equatable {
        var dscp: UInt8
        /// Of MPLS, 3 bits.
        var trafficClass: UInt8
        /// Of a VLAN tag, 3 bits.
        var vlanPriority: UInt8
    }

    init() {
        classes = .allocate(capacity: Self.mapCapacity * Self.mapSize)
        for index in 0..<Self.mapCapacity * Self.mapSize { (classes + index).initialize(to: Atomic(0)) }
        marks = .allocate(capacity: Self.classCapacity)
        for index in 0..<Self.classCapacity { (marks + index).initialize(to: Atomic(0)) }
    }

    deinit {
        classes.deinitialize(count: Self.mapCapacity * Self.mapSize)
        classes.deallocate()
        marks.deinitialize(count: Self.classCapacity)
        marks.deallocate()
    }

    // MARK: Workers

    /// What a packet with this DSCP (6 bits) is given; nil: it keeps what it has. Any map number is safe.
    @inline(__always) func marks(map: UInt8, dscp: UInt8) -> Marks? { find(map, Int(dscp & 63)) }
    /// … that came under a label of this traffic class (3 bits).
    @inline(__always) func marks(map: UInt8, trafficClass: UInt8) -> Marks? { find(map, 64 &+ Int(trafficClass & 7)) }
    /// … whose VLAN tag had this priority (3 bits).
    @inline(__always) func marks(map: UInt8, vlanPriority: UInt8) -> Marks? { find(map, 72 &+ Int(vlanPriority & 7)) }

    @inline(__always) private func find(_ map: UInt8, _ index: Int) -> Marks? {
        let id = classes[Int(map) &* Self.mapSize &+ index].load(ordering: .relaxed)
        guard id != 0 else { return nil }
        let word = marks[Int(id &- 1)].load(ordering: .relaxed)
        guard word >> 31 == 1 else { return nil }
        return Marks(
            dscp: UInt8(truncatingIfNeeded: word) & 63, trafficClass: UInt8(truncatingIfNeeded: word >> 8) & 7,
            vlanPriority: UInt8(truncatingIfNeeded: word >> 16) & 7)
    }

    // MARK: Control

    func set(_ spec: ForwardingClassSpec) {
        let word = 1 << 31 | UInt32(spec.vlanPriority & 7) << 16 | UInt32(spec.trafficClass & 7) << 8 | UInt32(spec.dscp & 63)
        marks[Int(spec.id)].store(word, ordering: .relaxed)
    }
    func removeClass(_ id: UInt8) { marks[Int(id)].store(0, ordering: .relaxed) }

    func set(_ spec: QoSMapSpec) {
        for dscp in 0..<64 { store(spec.id, dscp, spec.dscp[UInt8(dscp)]) }
        for trafficClass in 0..<8 { store(spec.id, 64 + trafficClass, spec.trafficClass[UInt8(trafficClass)]) }
        for priority in 0..<8 { store(spec.id, 72 + priority, spec.vlanPriority[UInt8(priority)]) }
    }
    func removeMap(_ id: UInt8) { for index in 0..<Self.mapSize { store(id, index, nil) } }

    private func store(_ map: UInt8, _ index: Int, _ forwardingClass: UInt8?) {
        classes[Int(map) * Self.mapSize + index].store(forwardingClass.map { UInt16($0) + 1 } ?? 0, ordering: .relaxed)
    }
}
