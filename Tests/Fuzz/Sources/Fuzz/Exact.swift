/// Octets in memory of exactly their number, so that AddressSanitizer sees one read or written too far. They live until the input is done.
@MainActor struct Exact {
    let p: UnsafeMutableRawPointer
    let count: Int
    private static var all: [UnsafeMutableRawPointer] = []

    init(_ octets: some Collection<UInt8>) {
        self.init(zeroes: octets.count)
        UnsafeMutableRawBufferPointer(start: p, count: count).copyBytes(from: octets)
    }
    init(zeroes count: Int) {
        self.count = max(count, 0)
        // Not of the size 0, for which the system gives some octets.
        p = .allocate(byteCount: max(count, 1), alignment: 1)
        p.initializeMemory(as: UInt8.self, repeating: 0, count: self.count)
        Self.all.append(p)
    }

    static func releaseAll() {
        for p in all { p.deallocate() }
        all.removeAll(keepingCapacity: true)
    }

    var octets: [UInt8] { prefix(count) }
    func prefix(_ size: Int) -> [UInt8] { Array(UnsafeRawBufferPointer(start: p, count: min(size, count))) }
}

/// What steers a target beside the octets it is about: taken from the end of the input, so that corpora begin with plain packets.
struct Steering {
    private(set) var rest: Slice<UnsafeRawBufferPointer>
    init(_ input: UnsafeRawBufferPointer) { rest = input[...] }
    mutating func octet() -> Int {
        guard let last = rest.popLast() else { return 0 }
        return Int(last)
    }
    mutating func word() -> Int { octet() << 8 | octet() }
}
