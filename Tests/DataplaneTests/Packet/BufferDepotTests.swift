import Synchronization
import Testing

@testable import Dataplane

@Suite struct BufferDepotTests {
    private typealias Buffers = UnsafeMutablePointer<UnsafeMutableRawPointer>

    private func numbers(_ range: Range<Int>) -> [UnsafeMutableRawPointer] { range.compactMap { UnsafeMutableRawPointer(bitPattern: $0) } }

    @Test func cratesComeBackLastInFirstOut() {
        let depot = BufferDepot(crateSize: 4, capacity: 12, laneCount: 2)
        var hands = numbers(1..<5)
        #expect(!depot.take(&hands) && depot.count == 0)
        for first in [1, 5, 9] {
            var crate = numbers(first..<first + 4)
            depot.put(&crate)
        }
        #expect(depot.count == 12)
        for first in [9, 5, 1] {
            #expect(depot.take(&hands))
            #expect(hands == numbers(first..<first + 4))
        }
        #expect(!depot.take(&hands) && depot.count == 0)
    }

    /// Threads take and put down crates, and mix what is in them: every buffer is in one place at a time, and none is lost.
    @Test func threadsShareEveryBufferAndNoneTwice() async {
        let lanes = 4, crateSize = 8, capacity = lanes * crateSize * 2
        let depot = BufferDepot(crateSize: crateSize, capacity: capacity, laneCount: lanes)
        for first in stride(from: 1, to: capacity + 1, by: crateSize) {
            var crate = numbers(first..<first + crateSize)
            depot.put(&crate)
        }
        /// Who holds each buffer: a second holder finds the mark.
        let held = (0...capacity).map { _ in Mark() }
        let doubles = Mark()
        await withTaskGroup(of: Void.self) { group in
            for lane in 0..<lanes {
                group.addTask { [self] in
                    let hands = Buffers.allocate(capacity: crateSize * 2)
                    defer { hands.deallocate() }
                    var count = 0
                    func put() {
                        count -= crateSize
                        for index in count..<count + crateSize { held[Int(bitPattern: hands[index])].value.store(0, ordering: .releasing) }
                        depot.put(hands + count)
                    }
                    for round in 0..<500_000 {
                        if count == 0 || (count == crateSize && (round + lane) % 3 == 0) {
                            guard depot.take(hands + count) else { continue }
                            for index in count..<count + crateSize {
                                let wasHeld = held[Int(bitPattern: hands[index])].value.exchange(1, ordering: .acquiring) != 0
                                if wasHeld { doubles.value.add(1, ordering: .relaxed) }
                            }
                            count += crateSize
                        } else {
                            // Every other buffer to the front, so that crates mix.
                            if count == crateSize * 2 { for index in stride(from: 0, to: crateSize, by: 2) { swap(hands, index, index + crateSize) } }
                            put()
                        }
                    }
                    while count > 0 { put() }
                }
            }
        }
        #expect(doubles.value.load(ordering: .relaxed) == 0)
        var seen = Set<UnsafeMutableRawPointer>(), hands = numbers(1..<crateSize + 1)
        while depot.take(&hands) { seen.formUnion(hands) }
        #expect(seen == Set(numbers(1..<capacity + 1)))
    }

    private func swap(_ hands: Buffers, _ a: Int, _ b: Int) { (hands[a], hands[b]) = (hands[b], hands[a]) }
}

private final class Mark: Sendable { let value = Atomic<Int>(0) }
