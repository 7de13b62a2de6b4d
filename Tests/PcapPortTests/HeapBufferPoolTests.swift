import CPlatform
import Dataplane
import Testing

/// Frames for a test, freed with it.
final class Frames {
    let pointer: UnsafeMutablePointer<vr_frame>
    init(_ count: Int) {
        pointer = .allocate(capacity: count)
        pointer.initialize(repeating: vr_frame(), count: count)
    }
    deinit { pointer.deallocate() }
    subscript(index: Int) -> vr_frame {
        get { pointer[index] }
        set { pointer[index] = newValue }
    }
}

@Suite struct HeapBufferPoolTests {
    @Test func buffersAreDistinctAndHaveTheirRoom() throws {
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 64), frames = Frames(65)
        #expect(pool.allocate(lane: 0, into: frames.pointer, count: 65) == 64)
        #expect(pool.inUse == 64)
        var starts: [UInt] = []
        for index in 0..<64 {
            let frame = frames[index]
            let buffer = try #require(frame.buffer), data = try #require(frame.data)
            #expect(UnsafeMutableRawPointer(data) - buffer >= Int(frame.headroom))
            #expect(Int(frame.headroom) >= BufferPool.headroom)
            #expect(Int(frame.headroom) + Int(frame.tailroom) >= 2048 - 8)
            #expect(frame.length == 0)
            #expect(UInt(bitPattern: data) % 64 == 0)
            starts.append(UInt(bitPattern: buffer))
            (data - Int(frame.headroom)).update(repeating: UInt8(index), count: Int(frame.headroom) + Int(frame.tailroom))
        }
        for index in 0..<64 { #expect(frames[index].data[0] == UInt8(index)) }
        starts.sort()
        let stride = try #require(zip(starts.dropFirst(), starts).map { $0 - $1 }.min())
        #expect(stride >= 2048)
        #expect(stride % 64 == 0)
        #expect(stride / 64 % 2 == 1)
        pool.release(lane: 0, frames.pointer, count: 64)
        #expect(pool.inUse == 0)
    }

    @Test func lastReleasedIsFirstAllocated() throws {
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 4096), frames = Frames(300)
        #expect(pool.allocate(lane: 3, into: frames.pointer, count: 300) == 300)
        pool.release(lane: 3, frames.pointer, count: 300)
        let last = frames[299].buffer
        #expect(pool.allocate(lane: 3, into: frames.pointer, count: 1) == 1)
        #expect(frames[0].buffer == last)
    }

    @Test func onlyUsedBuffersAreTouched() throws {
        let pool = try HeapBufferPool(capacity: 2048), frames = Frames(32)
        var seen = Set<UnsafeMutableRawPointer>()
        for _ in 0..<10_000 {
            #expect(pool.allocate(lane: 0, into: frames.pointer, count: 32) == 32)
            for index in 0..<32 { if let buffer = frames[index].buffer { seen.insert(buffer) } }
            pool.release(lane: 0, frames.pointer, count: 32)
        }
        #expect(seen.count <= 64)
    }

    @Test func buffersPassBetweenLanes() throws {
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 100), frames = Frames(32)
        // Lane 0 allocates and lane 1 releases, many times the pool: nothing is lost but what lane 1 keeps.
        for _ in 0..<100 {
            #expect(pool.allocate(lane: 0, into: frames.pointer, count: 32) == 32)
            pool.release(lane: 1, frames.pointer, count: 32)
        }
        #expect(pool.inUse == 0)
        let all = Frames(100)
        let got = pool.allocate(lane: 0, into: all.pointer, count: 100)
        #expect((88...100).contains(got))
        #expect(pool.inUse == got)
        #expect(pool.allocate(lane: 1, into: all.pointer, count: 100) == 100 - got)
        #expect(pool.allocate(lane: 1, into: all.pointer, count: 1) == 0)
    }

    @Test func threadsOnTheirLanesNeverShareABuffer() async throws {
        let pool = try HeapBufferPool(bufferSize: 2048, capacity: 512)
        await withTaskGroup(of: Bool.self) { group in
            for lane in 0..<4 {
                group.addTask {
                    let frames = Frames(32)
                    for round in 0..<2000 {
                        let count = pool.allocate(lane: lane, into: frames.pointer, count: 1 + (round + lane) % 32)
                        for index in 0..<count { frames[index].data[0] = UInt8(lane) }
                        for index in 0..<count where frames[index].data[0] != UInt8(lane) { return false }
                        pool.release(lane: lane, frames.pointer, count: count)
                    }
                    return true
                }
            }
            for await isAlone in group { #expect(isAlone) }
        }
        #expect(pool.inUse == 0)
    }

    @Test func releasingTwiceStopsTheProcess() async {
        await #expect(processExitsWith: .failure) {
            let pool = try HeapBufferPool(bufferSize: 2048, capacity: 64), frames = Frames(1)
            _ = pool.allocate(lane: 0, into: frames.pointer, count: 1)
            pool.release(lane: 0, frames.pointer, count: 1)
            pool.release(lane: 1, frames.pointer, count: 1)
        }
    }

    @Test func releasingAStrangersBufferStopsTheProcess() async {
        await #expect(processExitsWith: .failure) {
            let pool = try HeapBufferPool(bufferSize: 2048, capacity: 64), frames = Frames(1)
            _ = pool.allocate(lane: 0, into: frames.pointer, count: 1)
            frames[0].buffer = frames[0].buffer + 64
            pool.release(lane: 0, frames.pointer, count: 1)
        }
        await #expect(processExitsWith: .failure) {
            let pool = try HeapBufferPool(bufferSize: 2048, capacity: 64), other = try HeapBufferPool(bufferSize: 2048, capacity: 64),
                frames = Frames(1)
            _ = other.allocate(lane: 0, into: frames.pointer, count: 1)
            pool.release(lane: 0, frames.pointer, count: 1)
        }
    }

    @Test func writingBeforeTheHeadroomStopsTheProcess() async {
        await #expect(processExitsWith: .failure) {
            let pool = try HeapBufferPool(bufferSize: 2048, capacity: 64), frames = Frames(1)
            _ = pool.allocate(lane: 0, into: frames.pointer, count: 1)
            frames[0].data[-Int(frames[0].headroom) - 1] = 0x55
            pool.release(lane: 0, frames.pointer, count: 1)
        }
    }

    @Test func impossibleSizesAreRefused() {
        #expect(throws: PortError.self) { try HeapBufferPool(bufferSize: 100, capacity: 64) }
        #expect(throws: PortError.self) { try HeapBufferPool(bufferSize: 2048, capacity: 0) }
        #expect(throws: PortError.self) { try HeapBufferPool(bufferSize: .max, capacity: .max) }
    }
}
