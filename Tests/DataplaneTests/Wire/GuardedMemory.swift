#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Octets from hexadecimal digits; white space is skipped. For literals in tests: anything else is a mistake there and traps.
func octets(_ text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }.map { UInt8($0.hexDigitValue!) }
    precondition(digits.count % 2 == 0)
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// Memory between two pages that cannot be touched: one octet read or written too far, on the side where the contents lie, ends the test run.
final class GuardedMemory {
    private let base: UnsafeMutableRawPointer
    private let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let capacity: Int

    init(capacity: Int = 70_000) {
        let pages = (capacity + page - 1) / page
        self.capacity = pages * page
        base = mmap(nil, (pages + 2) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(base != MAP_FAILED)
        mprotect(base, page, PROT_NONE)
        mprotect(base + page + self.capacity, page, PROT_NONE)
    }
    deinit { munmap(base, capacity + 2 * page) }

    /// `count` octets that end where the memory ends.
    func end(_ count: Int) -> UnsafeMutableRawPointer { base + page + capacity - count }
    /// The first octet.
    var start: UnsafeMutableRawPointer { base + page }

    /// The octets, copied so that the next one cannot be touched.
    func place(_ bytes: [UInt8]) -> UnsafeMutableRawPointer {
        let p = end(bytes.count)
        bytes.withUnsafeBytes { p.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(p), byteCount: bytes.count) }
        return p
    }
    /// The octets, copied so that the one before cannot be touched.
    func placeAtStart(_ bytes: [UInt8]) -> UnsafeMutableRawPointer {
        bytes.withUnsafeBytes { start.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(start), byteCount: bytes.count) }
        return start
    }
}

func contents(_ p: UnsafeRawPointer, _ count: Int) -> [UInt8] { [UInt8](UnsafeRawBufferPointer(start: p, count: count)) }

/// What `body` writes into `count` octets of guarded memory.
func written(_ count: Int, _ body: (UnsafeMutableRawPointer) -> Void) -> [UInt8] {
    let memory = GuardedMemory(capacity: count)
    let p = memory.end(count)
    // Not zero, so that an octet nobody writes is seen.
    p.initializeMemory(as: UInt8.self, repeating: 0xEE, count: count)
    body(p)
    return contents(p, count)
}

/// Runs `body` on the octets, in guarded memory.
func on<Result>(_ bytes: [UInt8], _ body: (UnsafeMutableRawPointer) -> Result) -> Result {
    let memory = GuardedMemory(capacity: max(bytes.count, 1))
    return withExtendedLifetime(memory) { body(memory.place(bytes)) }
}

/// How many of the octets must be there before `check` says yes; nil: it never does. Each shorter length is tried in memory of that length.
func neededLength(_ bytes: [UInt8], _ check: (UnsafeRawPointer, Int) -> Bool) -> Int? {
    (0...bytes.count).first { count in on(Array(bytes.prefix(count))) { check($0, count) } }
}

/// The octets with one of them changed.
func changing(_ bytes: [UInt8], _ index: Int, to value: UInt8) -> [UInt8] {
    var bytes = bytes
    bytes[index] = value
    return bytes
}
