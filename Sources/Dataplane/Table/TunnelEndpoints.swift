import CPlatform
import NetTypes
import Synchronization

/// The far ends of the tunnels that are programmed: whom a fabric vif may take tunnel packets from when it checks their source.
///
/// Readers see a set that never changes: open addressing in twice as many slots as there are endpoints, IPv4 as ::ffff:a.b.c.d. The writer counts the next hops of each
/// endpoint, and makes the set anew when a batch of changes is over, so that programming n tunnels costs n and not n².
///
/// # Thread-safety
/// `contains`: any online worker. The rest: the control thread. The old set is freed after quiescence.
final class TunnelEndpoints: @unchecked Sendable {
    private struct Header {
        var mask: Int
        var seed: UInt64
    }
    private static let headerSize = 16, slotSize = 16
    private let current = Atomic<UnsafeMutableRawPointer?>(nil)
    private let quiescence: Quiescence
    private let seed = randomSeed()
    private var counts: [IPv6Address: Int] = [:]
    private var isStale = false

    init(quiescence: Quiescence) { self.quiescence = quiescence }

    deinit { current.load(ordering: .relaxed)?.deallocate() }

    /// Whether a tunnel to this address is programmed. Complexity: one or two cache lines.
    func contains(_ address: IPv6Address) -> Bool {
        guard let memory = current.load(ordering: .acquiring) else { return false }
        let header = memory.load(as: Header.self)
        var slot = TunnelEndpoints.slot(address, header)
        while true {
            let at = TunnelEndpoints.headerSize &+ slot &* TunnelEndpoints.slotSize
            let high = memory.load(fromByteOffset: at, as: UInt64.self), low = memory.load(fromByteOffset: at &+ 8, as: UInt64.self)
            // At least half of the slots are free. They look like ::, which is no endpoint.
            if high | low == 0 { return false }
            if high == address.high, low == address.low { return true }
            slot = (slot &+ 1) & header.mask
        }
    }

    private static func slot(_ address: IPv6Address, _ header: Header) -> Int {
        Int(truncatingIfNeeded: foldedMultiply(address.high ^ header.seed, address.low ^ 0x9E37_79B9_7F4A_7C15)) & header.mask
    }

    var count: Int { counts.count }

    func insert(_ address: IPAddress) {
        let key = TunnelEndpoints.key(address)
        counts[key, default: 0] += 1
        if counts[key] == 1 { isStale = true }
    }

    func remove(_ address: IPAddress) {
        let key = TunnelEndpoints.key(address)
        guard let count = counts[key] else { return }
        counts[key] = count > 1 ? count - 1 : nil
        if count == 1 { isStale = true }
    }

    private static func key(_ address: IPAddress) -> IPv6Address {
        switch address {
        case .v4(let address): Vif.mapped(address.rawValue)
        case .v6(let address): address
        }
    }

    /// Shows the readers what was inserted and removed since the last call.
    func publish() {
        guard isStale else { return }
        isStale = false
        var capacity = 4
        while capacity < counts.count * 2 { capacity *= 2 }
        let size = TunnelEndpoints.headerSize + capacity * TunnelEndpoints.slotSize
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        let header = Header(mask: capacity - 1, seed: seed)
        memory.storeBytes(of: header, as: Header.self)
        for address in counts.keys {
            var slot = TunnelEndpoints.slot(address, header)
            func at() -> Int { TunnelEndpoints.headerSize + slot * TunnelEndpoints.slotSize }
            while memory.load(fromByteOffset: at(), as: UInt64.self) | memory.load(fromByteOffset: at() + 8, as: UInt64.self) != 0 {
                slot = (slot + 1) & header.mask
            }
            memory.storeBytes(of: address.high, toByteOffset: at(), as: UInt64.self)
            memory.storeBytes(of: address.low, toByteOffset: at() + 8, as: UInt64.self)
        }
        nonisolated(unsafe) let old = current.exchange(memory, ordering: .acquiringAndReleasing)
        if let old { quiescence.retire { old.deallocate() } }
    }
}
