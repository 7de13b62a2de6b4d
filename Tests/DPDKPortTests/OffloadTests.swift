import CPlatform
import Dataplane
import Foundation
import Testing

@testable import DPDKPort

#if DPDK
extension DPDKPortTests {
    /// TCP packets left to a port to cut: between our net_vhost and a guest's net_virtio_user, in this process.
    @Suite final class Offload {
        let pool: BufferPool
        let directory: String

        init() throws {
            pool = try DPDKPortTests.started.get()
            directory = "/tmp/vr-\(UInt32.random(in: 0 ... .max))"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        private func open(_ device: String) throws -> Dataplane.Port { try DPDKPort.open(PortSpec(name: "d", driver: .dpdk(device: device))) }

        private func eventually(_ what: String, _ ask: () -> Bool) throws {
            for _ in 0..<1000 {
                if ask() { return }
                usleep(10_000)
            }
            Issue.record("\(what): not within 10 s")
            throw CancellationError()
        }

        private func add(_ sum: inout UInt32, _ octets: some Sequence<UInt8>) {
            for (index, octet) in octets.enumerated() { sum += index % 2 == 0 ? UInt32(octet) << 8 : UInt32(octet) }
        }
        private func fold(_ sum: UInt32) -> UInt16 {
            var sum = sum
            while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
            return UInt16(sum)
        }

        /// Ethernet, IPv4 without options, TCP without options, and `data` octets that count up. The TCP checksum is left out.
        private func packet(data: Int) -> [UInt8] {
            let total = 40 + data
            var ip: [UInt8] = [0x45, 0, UInt8(total >> 8), UInt8(total & 0xFF), 0, 9, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
            var sum: UInt32 = 0
            add(&sum, ip)
            let checksum = ~fold(sum)
            ip[10] = UInt8(checksum >> 8)
            ip[11] = UInt8(checksum & 0xFF)
            let tcp: [UInt8] = [0x10, 0, 0x20, 0, 0, 0, 0x10, 0, 0, 0, 0, 1, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]
            return [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0] + ip + tcp + (0..<data).map { UInt8(truncatingIfNeeded: $0 / 251 + $0) }
        }

        /// Sends the packet as one to be cut after `size` octets, and returns the frames that come out at the other end.
        private func pass(_ packet: [UInt8], size: Int, from sender: Dataplane.Port, to receiver: Dataplane.Port, count: Int) throws -> [[UInt8]] {
            let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
            frames.initialize(repeating: vr_frame(), count: 32)
            defer { frames.deallocate() }
            try #require(pool.allocate(lane: 0, into: frames, count: 1) == 1)
            for (index, octet) in packet.enumerated() { frames[0].data[index] = octet }
            frames[0].length = UInt32(packet.count)
            frames[0].tailroom = VR_SEGMENTED | UInt32(size)
            var isSent = false
            var received: [[UInt8]] = []
            try eventually("\(count) frames") {
                if !isSent { isSent = sender.transmit(queue: 0, pool: pool, lane: 0, frames, count: 1) == 1 }
                guard isSent else { return false }
                let arrived = receiver.receive(queue: 0, pool: pool, lane: 0, into: frames, capacity: 32)
                for index in 0..<arrived {
                    received.append(Array(UnsafeBufferPointer(start: frames[index].data, count: Int(frames[index].length))))
                }
                pool.release(lane: 0, frames, count: arrived)
                return received.count >= count
            }
            return received
        }

        /// From a guest whose driver cuts nothing, because the host takes whole packets: one frame, whose checksum is the sum of its pseudo-header.
        @Test func aGuestLeavesItToTheHost() throws {
            let host = try open("net_vhost20,iface=\(directory)/v.sock,tso=1")
            #expect(host.traits == [.unfinishedChecksums, .oversizedSegments, .cutsSegments, .gainsByJoining])
            let guest = try open("net_virtio_user20,path=\(directory)/v.sock")
            // Buffers of 10240 octets do not hold what it might receive.
            #expect(guest.traits == [.unfinishedChecksums, .cutsSegments, .gainsByJoining])
            try eventually("the guest connected") { host.link().state == .up }
            let packet = packet(data: 8000)
            let received = try pass(packet, size: 1460, from: guest, to: host, count: 1)
            try #require(received.count == 1)
            #expect(received[0].count == packet.count && received[0][54...] == packet[54...] && received[0][..<50] == packet[..<50])
            var sum: UInt32 = 0
            add(&sum, packet[26..<34])
            sum += 6 + 8020
            #expect(UInt16(received[0][50]) << 8 | UInt16(received[0][51]) == fold(sum))
            #expect(guest.statistics().transmittedUncut == 1)
            guest.close()
            host.close()
        }

        /// A host that was not told `tso=1` offers no such thing, and the guest's port says so.
        @Test func aHostThatTakesNone() throws {
            let host = try open("net_vhost21,iface=\(directory)/v.sock")
            #expect(host.traits == .unfinishedChecksums)
            let guest = try open("net_virtio_user21,path=\(directory)/v.sock")
            #expect(guest.traits == .unfinishedChecksums)
            guest.close()
            host.close()
        }

        /// To a guest that has not agreed to take whole packets: six segments, each complete.
        @Test func theHostCutsForAGuestThatDoesNot() throws {
            let host = try open("net_vhost22,iface=\(directory)/v.sock,tso=1")
            let guest = try open("net_virtio_user22,path=\(directory)/v.sock")
            try eventually("the guest connected") { host.link().state == .up }
            let packet = packet(data: 8000)
            let received = try pass(packet, size: 1460, from: host, to: guest, count: 6)
            #expect(received.map(\.count) == [1514, 1514, 1514, 1514, 1514, 754])
            var next: UInt32 = 0x1000
            for frame in received {
                #expect(UInt32(frame[38]) << 24 | UInt32(frame[39]) << 16 | UInt32(frame[40]) << 8 | UInt32(frame[41]) == next)
                next += UInt32(frame.count - 54)
                var sum: UInt32 = 6 + UInt32(frame.count - 34)
                add(&sum, frame[26..<34])
                add(&sum, frame[34...])
                #expect(fold(sum) == 0xFFFF)
            }
            #expect(Array(received.map { $0[54...] }.joined()) == Array(packet[54...]))
            #expect(pool.inUse <= 2 * 1024)
            guest.close()
            host.close()
        }
    }
}
#endif
