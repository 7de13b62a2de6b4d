import CPlatform
import Synchronization
import Testing

@testable import Dataplane

@Suite struct FrameRingTests {
    private func frame(_ number: UInt32) -> vr_frame { vr_frame(buffer: nil, data: nil, length: number, headroom: 0, tailroom: 0, hash: 0) }

    @Test func keepsOrderTagsAndBounds() {
        let ring = FrameRing(capacity: 8)
        let out = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
        defer { out.deallocate() }
        var tag: UInt64 = 0
        #expect(ring.pop(into: out, tag: &tag, limit: 32) == 0)
        #expect(ring.push((0..<3).map(frame), tag: 7, count: 3) == 3)
        #expect(ring.push((3..<5).map(frame), tag: 9, count: 2) == 2)
        // Three are left.
        #expect(ring.push((5..<10).map(frame), tag: 9, count: 5) == 3)
        #expect(ring.push([frame(99)], tag: 9, count: 1) == 0)
        #expect(ring.pop(into: out, tag: &tag, limit: 2) == 2 && tag == 7 && out[0].length == 0 && out[1].length == 1)
        // A run of one tag at a time.
        #expect(ring.pop(into: out, tag: &tag, limit: 32) == 1 && tag == 7 && out[0].length == 2)
        #expect(ring.pop(into: out, tag: &tag, limit: 32) == 5 && tag == 9 && (0..<5).map { out[$0].length } == [3, 4, 5, 6, 7])
        #expect(ring.pop(into: out, tag: &tag, limit: 32) == 0 && ring.pushed == 8 && ring.popped == 8)
        // Over the edge, with a tag of its own for each.
        #expect(ring.push((20..<23).map(frame), tag: 1, lower: [5, 5, 6], count: 3) == 3)
        #expect(ring.pop(into: out, tag: &tag, limit: 32) == 2 && tag == 1 << 32 | 5 && out[1].length == 21)
        #expect(ring.pop(into: out, tag: &tag, limit: 32) == 1 && tag == 1 << 32 | 6 && out[0].length == 22)
    }

    @Test func oneThreadPushesWhileAnotherPops() async {
        let ring = FrameRing(capacity: 64), total: UInt32 = 200_000
        let consumer = Task.detached { () -> Int in
            let out = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
            defer { out.deallocate() }
            var next: UInt32 = 0, faults = 0, tag: UInt64 = 0
            while next < total {
                let count = ring.pop(into: out, tag: &tag, limit: 32)
                for index in 0..<count {
                    if out[index].length != next || tag != UInt64(next / 1000) { faults += 1 }
                    next += 1
                }
                if count == 0 { await Task.yield() }
            }
            return faults
        }
        var sent: UInt32 = 0
        while sent < total {
            // Bursts do not cross a change of tags.
            let count = min(1 + Int(sent % 32), Int(1000 - sent % 1000))
            let taken = ring.push((sent..<sent + UInt32(count)).map(frame), tag: UInt64(sent / 1000), count: count)
            sent += UInt32(taken)
            if taken == 0 { await Task.yield() }
        }
        #expect(await consumer.value == 0)
    }

    @Test func aSleeperIsWokenByAPushAndDoesNotSleepOverOne() {
        let mesh = WorkerMesh(workerCount: 2, mayEverSleep: true, capacity: 8)
        mesh.bells = [Doorbell(), Doorbell()]
        #expect(mesh.beginSleep(1))
        #expect(mesh.ring(.receive, from: 0, to: 1).push([frame(1)], tag: 0, count: 1) == 1)
        mesh.wake(1)
        #expect(vr_wait_readable([mesh.bells[1].descriptor], 1, 0) == 1)
        mesh.endSleep(1)
        // Something waits: no sleep.
        #expect(!mesh.beginSleep(1))
        mesh.bells[1].answer()
        mesh.wake(1)
        #expect(vr_wait_readable([mesh.bells[1].descriptor], 1, 0) == 0)
        #expect(mesh.beginSleep(0) && !mesh.isEmpty)
    }
}
