import CPlatform
import Synchronization

// Loads and stores on raw table memory that more than one thread touches.
//
// `Synchronization.Atomic` has the layout of its value, so table memory can be a flat block that is zeroed by the kernel and
// still be accessed atomically in place. Each call is one plain `mov` on x86-64 and one `ldr/str` (or `ldar/stlr`) on arm64.
// Readers use relaxed loads wherever the next access depends on the value loaded (a pointer or an index into the
// same block): the hardware keeps dependent loads in order, and the writer's release store orders what they point to.

//
// ThreadSanitizer does not know dependent loads: in builds for it (`VROUTER_TSAN`) they are acquiring, which on x86-64 is the same instruction.

extension UnsafeMutableRawPointer {
    @inline(__always) func atomic32(_ offset: Int = 0) -> UnsafeMutablePointer<Atomic<UInt32>> {
        (self + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
    }
    @inline(__always) func atomic64(_ offset: Int = 0) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (self + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
    #if VROUTER_TSAN
    @inline(__always) func load32(_ offset: Int) -> UInt32 { atomic32(offset).pointee.load(ordering: .acquiring) }
    @inline(__always) func load64(_ offset: Int) -> UInt64 { atomic64(offset).pointee.load(ordering: .acquiring) }
    #else
    @inline(__always) func load32(_ offset: Int) -> UInt32 { atomic32(offset).pointee.load(ordering: .relaxed) }
    @inline(__always) func load64(_ offset: Int) -> UInt64 { atomic64(offset).pointee.load(ordering: .relaxed) }
    #endif
    @inline(__always) func acquire32(_ offset: Int) -> UInt32 { atomic32(offset).pointee.load(ordering: .acquiring) }
    @inline(__always) func acquire64(_ offset: Int) -> UInt64 { atomic64(offset).pointee.load(ordering: .acquiring) }
    @inline(__always) func store32(_ offset: Int, _ value: UInt32) { atomic32(offset).pointee.store(value, ordering: .relaxed) }
    @inline(__always) func store64(_ offset: Int, _ value: UInt64) { atomic64(offset).pointee.store(value, ordering: .relaxed) }
    @inline(__always) func release32(_ offset: Int, _ value: UInt32) { atomic32(offset).pointee.store(value, ordering: .releasing) }
    @inline(__always) func release64(_ offset: Int, _ value: UInt64) { atomic64(offset).pointee.store(value, ordering: .releasing) }
}

/// A block of zeroed address space that costs memory only where it is touched; released with its owner.
struct ReservedMemory: ~Copyable {
    let base: UnsafeMutableRawPointer
    let size: Int

    /// Traps when the address space cannot be reserved: tables are made once, when the process starts.
    ///
    /// `hugePages` for tables whose lines are touched at random: their lookups then do not also miss the TLB, and a page fault comes every 2 MiB. They cost memory in such steps.
    init(size: Int, hugePages: Bool = false) {
        guard let base = vr_reserve(size) else { preconditionFailure("cannot reserve \(size) octets of address space for a table") }
        if hugePages { vr_prefer_huge_pages(base, size) }
        self.base = base
        self.size = size
    }
    deinit { vr_unreserve(base, size) }
}

/// The multiplication that every keyed hash here is made of: 64 × 64 → 128 bits, folded.
@inline(__always) func foldedMultiply(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
}

/// A random number of this process, for hash seeds: who does not know it cannot aim keys at one bucket.
func randomSeed() -> UInt64 {
    var seed: UInt64 = 0
    vr_random(&seed, 8)
    return seed
}
