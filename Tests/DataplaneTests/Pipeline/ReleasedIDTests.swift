import CPlatform
import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// An id is not given to a new object while a worker may still carry it from the old one.
@Suite struct ReleasedIDTests {
    private static func upsert(_ router: Router, _ id: UInt32) -> RouterOutcome {
        router.apply([.upsert(.nextHop(NextHopSpec(id: .init(id), kind: .receive(vif: .init(3)))))])[0]
    }

    @Test func waitsForWorkersThatMayStillUseTheID() async throws {
        let test = TestRouter()
        #expect(Self.upsert(test.router, 50) == .ok)
        let generation = test.router.tables.generation.load(ordering: .relaxed)
        // A worker in the middle of a loop turn.
        let quiescence = test.router.tables.quiescence
        quiescence.online(0)
        #expect(test.router.apply([.delete(.nextHop(.init(50)))])[0] == .ok)
        let isDone = Flag(), router = test.router
        let other = Task.detached {
            let outcome = Self.upsert(router, 50)
            isDone.set()
            return outcome
        }
        try await Task.sleep(for: .milliseconds(30))
        #expect(!isDone.isSet)
        #expect(test.router.tables.nextHops.load(50) == nil)
        // Flows that cached the id forget it before the worker goes on.
        #expect(test.router.tables.generation.load(ordering: .relaxed) > generation + 1)
        while !isDone.isSet {
            quiescence.quiesce(0)
            try await Task.sleep(for: .milliseconds(1))
        }
        #expect(await other.value == .ok && test.router.tables.nextHops.load(50)?.pointee.kind == .receive)
        quiescence.offline(0)
    }

    @Test func otherIDsDoNotWait() {
        let test = TestRouter()
        #expect(Self.upsert(test.router, 50) == .ok)
        test.router.tables.quiescence.online(0)
        #expect(test.router.apply([.delete(.nextHop(.init(50)))])[0] == .ok)
        #expect(Self.upsert(test.router, 51) == .ok)
        test.router.tables.quiescence.offline(0)
    }
}

private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
