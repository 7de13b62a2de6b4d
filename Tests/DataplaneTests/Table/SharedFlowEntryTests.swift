import Testing

@testable import Dataplane

/// What several workers do to one flow entry at a time.
@Suite struct SharedFlowEntryTests {
    private final class Entry {
        let pointer = UnsafeMutablePointer<FlowEntry>.allocate(capacity: 1)
        init() { UnsafeMutableRawPointer(pointer).initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<FlowEntry>.size) }
        deinit { pointer.deallocate() }
    }

    @Test func aRouteHoldsForItsGenerationOnly() {
        let entry = Entry()
        entry.pointer.remember(nextHop: 7, label: 16, generation: 5)
        #expect(entry.pointer.route(generation: 5).map { [$0.nextHop, $0.label] } == [7, 16])
        #expect(entry.pointer.route(generation: 6) == nil && entry.pointer.route(generation: 4) == nil)
        entry.pointer.remember(nextHop: 8, label: .max, generation: 6)
        #expect(entry.pointer.route(generation: 6).map { [$0.nextHop, $0.label] } == [8, .max] && entry.pointer.route(generation: 5) == nil)
        #expect(entry.pointer.pointee.nextHop == 8 && entry.pointer.pointee.label == .max)
    }

    /// Two workers remember at once: the one with the old table stores its route after the other's, and its seal before the other's.
    @Test func anOldRouteNeverGetsANewGeneration() {
        let old = Entry(), new = Entry()
        old.pointer.remember(nextHop: 7, label: 16, generation: 5)
        new.pointer.remember(nextHop: 8, label: 16, generation: 6)
        let mixed = UnsafeMutableRawPointer(new.pointer), source = UnsafeRawPointer(old.pointer)
        mixed.copyMemory(from: source, byteCount: 56)
        #expect(new.pointer.pointee.nextHop == 7 && new.pointer.route(generation: 6) == nil && new.pointer.route(generation: 5) == nil)
    }

    @Test func bridgedPacketsLeaveNoRoute() {
        let entry = Entry()
        entry.pointer.remember(nextHop: 9, label: 5001, generation: 0)
        #expect(entry.pointer.pointee.nextHop == 9 && entry.pointer.route(generation: 1) == nil)
    }

    @Test func countsAndStatesAddUp() {
        let entry = Entry()
        entry.pointer.count(bytes: 60, now: 10)
        entry.pointer.count(bytes: 1500, now: 11)
        entry.pointer.insert(.syn)
        entry.pointer.insert(.established)
        let copy = entry.pointer.copy()
        #expect(copy.packets == 2 && copy.bytes == 1560 && copy.lastSeen == 11 && copy.tcpState == [.syn, .established])
    }

    /// The ring says that its reader may sleep exactly when the reader had taken all that was there before.
    @Test func aDrainedRingSaysSo() {
        let ring = PacketRing(count: 4)
        let octets: [UInt8] = [1, 2, 3, 4]
        func push() -> Bool { octets.withUnsafeBytes { ring.push(.init(length: 4), $0.baseAddress!) } }
        #expect(push() && ring.wasDrained)
        #expect(push() && !ring.wasDrained)
        #expect(ring.pop { _, _ in } && ring.pop { _, _ in } && !ring.pop { _, _ in })
        #expect(push() && ring.wasDrained)
    }
}
