import CPlatform
import Dataplane
import Foundation
import Testing

@testable import DPDKPort

#if DPDK
extension DPDKPortTests {
    /// Devices with another side, both sides in this process: a guest's net_virtio_user on our net_vhost, the two ends of a memif. No privilege is needed.
    @Suite final class Connected {
        let pool: BufferPool
        let directory: String

        init() throws {
            pool = try DPDKPortTests.started.get()
            directory = "/tmp/vr-\(UInt32.random(in: 0 ... .max))"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        private func open(_ device: String, queues: Int = 0) throws -> Dataplane.Port {
            try DPDKPort.open(PortSpec(name: "d", driver: .dpdk(device: device), queues: queues))
        }

        private func eventually(_ what: String, _ ask: () -> Bool) throws {
            for _ in 0..<1000 {
                if ask() { return }
                usleep(10_000)
            }
            Issue.record("\(what): not within 10 s")
            throw CancellationError()
        }

        /// Sends `count` frames whose octets count up, on `queue`, and receives them at the other end, octet by octet the same.
        private func pass(
            _ count: Int, size: Int, from sender: Dataplane.Port, queue: Int = 0, to receiver: Dataplane.Port, on receiving: Range<Int> = 0..<1
        ) throws {
            let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 64)
            frames.initialize(repeating: vr_frame(), count: 64)
            defer { frames.deallocate() }
            try #require(pool.allocate(lane: 0, into: frames, count: count) == count)
            for index in 0..<count {
                for offset in 0..<size { frames[index].data[offset] = UInt8(truncatingIfNeeded: index * 31 + offset) }
                frames[index].length = UInt32(size)
                frames[index].tailroom -= UInt32(size)
            }
            // Received into frames of their own, and from the start: a memif's client offers buffers only when it polls.
            var sent = 0, filled = 0
            let arrived = UnsafeMutablePointer<vr_frame>.allocate(capacity: 64)
            arrived.initialize(repeating: vr_frame(), count: 64)
            defer { arrived.deallocate() }
            try eventually("\(count) frames on queue \(queue) of \(sender.device)") {
                if sent < count { sent += sender.transmit(queue: queue, pool: pool, lane: 0, frames + sent, count: count - sent) }
                for queue in receiving {
                    filled += receiver.receive(queue: queue, pool: pool, lane: 0, into: arrived + filled, capacity: min(32, 64 - filled))
                }
                return filled >= count
            }
            #expect(filled == count)
            for index in 0..<filled {
                #expect(arrived[index].length == UInt32(size))
                #expect(Int(arrived[index].headroom) >= BufferPool.headroom)
                #expect((0..<size).allSatisfy { arrived[index].data[$0] == UInt8(truncatingIfNeeded: index * 31 + $0) })
            }
            pool.release(lane: 0, arrived, count: filled)
        }

        @Test func aGuestComesGoesAndComesBack() throws {
            let port = try open("net_vhost0,iface=\(directory)/v.sock")
            #expect(port.driver == "net_vhost")
            #expect(port.traits == .unfinishedChecksums)
            #expect(port.link().state == .down)
            for _ in 0..<2 {
                let guest = try open("net_virtio_user0,path=\(directory)/v.sock,mac=02:00:00:00:00:01")
                try eventually("the guest connected") { port.link().state == .up }
                try pass(20, size: 1514, from: guest, to: port)
                try pass(20, size: 60, from: port, to: guest)
                guest.close()
                try eventually("the guest gone") { port.link().state == .down }
            }
            #expect(port.statistics().receivedPackets == 40)
            #expect(port.statistics().transmittedPackets == 40)
            port.close()
            #expect(port.link().state == .down)
        }

        /// Two workers send on two queues to a guest that has enabled one: nothing is lost.
        @Test func aGuestWithFewerQueues() throws {
            let port = try open("net_vhost1,iface=\(directory)/v.sock", queues: 2)
            #expect(port.receiveQueueCount == 2 && port.transmitQueueCount == 2)
            let guest = try open("net_virtio_user1,path=\(directory)/v.sock")
            try eventually("the guest connected") { port.link().state == .up }
            try pass(8, size: 200, from: port, queue: 0, to: guest)
            try pass(8, size: 200, from: port, queue: 1, to: guest)
            guest.close()
            port.close()
        }

        @Test func everyQueueOfAGuest() throws {
            let port = try open("net_vhost2,iface=\(directory)/v.sock", queues: 3)
            let guest = try open("net_virtio_user2,path=\(directory)/v.sock", queues: 3)
            #expect(port.receiveQueueCount == 3 && guest.receiveQueueCount == 3)
            try eventually("the guest connected") { port.link().state == .up }
            for queue in 0..<3 {
                try pass(8, size: 200, from: guest, queue: queue, to: port, on: queue..<queue + 1)
                try pass(8, size: 200, from: port, queue: queue, to: guest, on: queue..<queue + 1)
            }
            guest.close()
            port.close()
        }

        @Test func memifPassesFramesAndReconnects() throws {
            let server = try open("net_memif0,role=server,id=5,socket=\(directory)/m.sock", queues: 2)
            #expect(FileManager.default.fileExists(atPath: "\(directory)/m.sock"))
            #expect(server.receiveQueueCount == 2)
            for _ in 0..<2 {
                let client = try open("net_memif1,role=client,id=5,socket=\(directory)/m.sock", queues: 2)
                try eventually("connection") { server.link().state == .up && client.link().state == .up }
                for queue in 0..<2 {
                    try pass(16, size: 1514, from: client, queue: queue, to: server, on: queue..<queue + 1)
                    try pass(16, size: 64, from: server, queue: queue, to: client, on: queue..<queue + 1)
                }
                client.close()
                try eventually("disconnection") { server.link().state == .down }
            }
            server.close()
        }

        /// Without a server the client is there, and idle. (That it connects later takes two processes: the driver keeps one socket of a name in each.)
        @Test func aMemifClientWaitsForItsServer() throws {
            let client = try open("net_memif2,role=client,socket=\(directory)/w.sock")
            #expect(client.link().state == .down)
            let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
            frames.initialize(repeating: vr_frame(), count: 32)
            defer { frames.deallocate() }
            #expect(client.receive(queue: 0, pool: pool, lane: 0, into: frames, capacity: 32) == 0)
            try #require(pool.allocate(lane: 0, into: frames, count: 1) == 1)
            frames[0].length = 60
            #expect(client.transmit(queue: 0, pool: pool, lane: 0, frames, count: 1) == 0)
            pool.release(lane: 0, frames, count: 1)
            client.close()
        }

        /// As with QEMU's `server=on`: the guest's side has the socket, and comes back.
        @Test func aVhostClientWaitsForItsGuest() throws {
            let port = try open("net_vhost3,iface=\(directory)/v.sock,client=1")
            #expect(port.link().state == .down)
            let guest = try open("net_virtio_user3,path=\(directory)/v.sock,server=1")
            try eventually("connection") { port.link().state == .up }
            try pass(16, size: 1514, from: guest, to: port)
            try pass(16, size: 64, from: port, to: guest)
            guest.close()
            try eventually("disconnection") { port.link().state == .down }
            port.close()
        }

        @Test func aBondSendsByTheMemberInUse() throws {
            let spec = PortSpec(name: "d", driver: .dpdk(device: "net_bonding0,mode=1", members: ["net_null5,size=300", "net_null6,size=300"]))
            for _ in 0..<3 {
                let bond = try DPDKPort.open(spec)
                #expect(bond.driver == "net_bonding")
                try eventually("a member in use") { bond.link().state == .up }
                let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
                frames.initialize(repeating: vr_frame(), count: 32)
                defer { frames.deallocate() }
                #expect(bond.receive(queue: 0, pool: pool, lane: 0, into: frames, capacity: 8) == 8)
                #expect(frames[7].length == 300)
                #expect(bond.transmit(queue: 0, pool: pool, lane: 0, frames, count: 8) == 8)
                #expect(bond.statistics().transmittedPackets == 8)
                // Its members are its own.
                let error = #expect(throws: PortError.self) { try open("net_null5") }
                #expect(error?.description.contains("another port has this device open") == true)
                bond.close()
            }
            try open("net_null5").close()
        }

        @Test func aMemberThatCannotBeOpenedIsNamed() throws {
            let spec = PortSpec(name: "d", driver: .dpdk(device: "net_bonding1,mode=1", members: ["net_ring7", "net_nonsense7"]))
            let error = #expect(throws: PortError.self) { try DPDKPort.open(spec) }
            #expect(error?.description.hasPrefix("DPDK device net_nonsense7: ") == true, "\(String(describing: error))")
            // The one before it was let go.
            try open("net_ring7").close()
        }
    }
}
#endif
