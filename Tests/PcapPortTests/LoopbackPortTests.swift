import CPlatform
import Dataplane
import Testing

@Suite struct LoopbackPortTests {
    private func pool() throws -> HeapBufferPool { try HeapBufferPool(bufferSize: 2048, capacity: 64) }

    @Test func framesComeBackInOrderAndAFullRingTakesFewer() throws {
        let pool = try pool(), port = LoopbackPort(name: "l", capacity: 8), frames = Frames(16)
        #expect(pool.allocate(lane: 0, into: frames.pointer, count: 12) == 12)
        for index in 0..<12 {
            frames[index].data[0] = UInt8(index)
            frames[index].length = 60
        }
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames.pointer, count: 12) == 8)
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames.pointer + 8, count: 4) == 0)
        let back = Frames(16)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: back.pointer, capacity: 3) == 3)
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames.pointer + 8, count: 4) == 3)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: back.pointer + 3, capacity: 13) == 8)
        for index in 0..<11 {
            #expect(back[index].data[0] == UInt8(index))
            #expect(back[index].length == 60)
        }
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: back.pointer, capacity: 16) == 0)
        let statistics = port.statistics()
        #expect(statistics.transmittedPackets == 11)
        #expect(statistics.receivedPackets == 11)
        #expect(statistics.transmittedBytes == 660)
        #expect(statistics.receivedBytes == 660)
    }

    @Test func headroomIsRestored() throws {
        let pool = try pool(), port = LoopbackPort(name: "l"), frames = Frames(1)
        #expect(pool.allocate(lane: 0, into: frames.pointer, count: 1) == 1)
        // As after two encapsulations.
        frames[0].data -= 100
        frames[0].headroom -= 100
        for index in 0..<200 { frames[0].data[index] = UInt8(index) }
        frames[0].length = 200
        let before = frames[0].headroom + 200 + frames[0].tailroom
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames.pointer, count: 1) == 1)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames.pointer, capacity: 1) == 1)
        #expect(Int(frames[0].headroom) >= BufferPool.headroom)
        #expect(frames[0].length == 200)
        #expect(frames[0].headroom + 200 + frames[0].tailroom == before - 100 || frames[0].headroom + 200 + frames[0].tailroom == before)
        for index in 0..<200 { #expect(frames[0].data[index] == UInt8(index)) }
    }

    @Test func closingReturnsTheBuffersThatWait() throws {
        let pool = try pool(), port = LoopbackPort(name: "l"), frames = Frames(5)
        #expect(pool.allocate(lane: 0, into: frames.pointer, count: 5) == 5)
        #expect(port.transmit(queue: 0, pool: pool, lane: 0, frames.pointer, count: 5) == 5)
        #expect(pool.inUse == 5)
        port.close()
        #expect(pool.inUse == 0)
        #expect(port.receive(queue: 0, pool: pool, lane: 0, into: frames.pointer, capacity: 5) == 0)
    }
}
