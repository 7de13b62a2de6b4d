#if DPDK
import CDPDK
public import CPlatform
public import Dataplane
import Synchronization

/// The mbufs of an rte_mempool as the process's buffers. A frame's `buffer` is its `struct rte_mbuf *`.
///
/// Thread-safety: any thread; each has a cache of its own, whatever its lane.
public final class DPDKBufferPool: BufferPool, @unchecked Sendable {
    let pool: OpaquePointer

    /// The pool, once DPDK is started: EAL, too, is one per process.
    public static var shared: DPDKBufferPool? { state.withLock { $0.pool } }

    private struct State {
        var wasStarted = false
        var pool: DPDKBufferPool?
    }
    private static let state = Mutex(State())

    private init(_ pool: OpaquePointer, count: Int, size: Int) {
        self.pool = pool
        super.init(bufferSize: size, capacity: count)
    }

    static func start(arguments: [String], count: Int, size: Int) throws(PortError) -> DPDKBufferPool {
        guard (1024...DPDK.largestBufferSize).contains(size) else {
            throw PortError("a DPDK buffer size of \(size) octets is not within 1024…\(DPDK.largestBufferSize)")
        }
        guard (64...1 << 22).contains(count) else { throw PortError("a DPDK pool of \(count) buffers is not within 64…\(1 << 22)") }
        guard Int(vr_dpdk_headroom()) >= BufferPool.headroom else {
            let reason = "it leaves \(vr_dpdk_headroom()) octets before a frame, \(BufferPool.headroom) are needed"
            throw PortError("this DPDK cannot be used: \(reason); build it with RTE_PKTMBUF_HEADROOM of 128 or more")
        }
        let isFirst = state.withLock { state in
            defer { state.wasStarted = true }
            return !state.wasStarted
        }
        guard isFirst else { throw PortError("DPDK was started before in this process, which can be done once") }

        var cores = [Int32](repeating: 0, count: 1024)
        cores.removeLast(cores.count - Int(vr_allowed_cores(&cores, Int32(cores.count))))
        let all = EALArguments(
            given: arguments, cores: cores, hugepages: vr_dpdk_free_hugepages(), memory: UInt64(count) * UInt64(size + 256)
        ).complete
        var failed = vr_dpdk_failed()
        let text = all.joined(separator: " ")
        guard withCStrings(all, { vr_dpdk_start(Int32(all.count), $0, &failed) }) == 0 else {
            throw PortError("DPDK: \(failed.detail)\(DPDK.advice(failed.detail)); its arguments were: \(text)")
        }
        guard let made = vr_dpdk_pool_create(UInt32(count), UInt32(size), &failed) else {
            let advice = "lower `buffers`, or give EAL more memory (-m); its arguments were: \(text)"
            throw PortError("DPDK: no pool of \(count) buffers of \(size) octets: \(failed.detail); \(advice)")
        }
        let pool = DPDKBufferPool(made, count: count, size: size)
        state.withLock { $0.pool = pool }
        return pool
    }

    public override func allocate(lane: Int, into frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        Int(vr_dpdk_allocate(pool, frames, Int32(truncatingIfNeeded: count)))
    }

    public override func release(lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) {
        vr_dpdk_release(frames, Int32(truncatingIfNeeded: count))
    }

    public override var inUse: Int { Int(vr_dpdk_in_use(pool)) }
}

extension vr_dpdk_failed {
    /// What failed, the error's name, and what DPDK logged.
    var detail: String {
        withUnsafeBytes(of: text) { octets in
            String(decoding: octets.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

/// Calls `body` with the strings as a C array.
func withCStrings<Result>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result) -> Result {
    var octets: [CChar] = []
    let offsets = strings.map { string in
        defer { octets += string.utf8CString }
        return octets.count
    }
    return octets.withUnsafeBufferPointer { octets in
        let pointers = offsets.map { offset in octets.baseAddress.map { UnsafePointer($0 + offset) } } + [nil]
        return pointers.withUnsafeBufferPointer { body($0.baseAddress ?? UnsafePointer(bitPattern: 8).unsafelyUnwrapped) }
    }
}
#endif
