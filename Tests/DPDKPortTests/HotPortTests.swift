import CPlatform
import Dataplane
import Foundation
import NetTypes
import Synchronization
import Testing

@testable import DPDKPort

#if DPDK
extension DPDKPortTests {
    /// Devices plugged in and unplugged while workers move frames between two others.
    @Suite struct HotPorts {
        let pool: BufferPool
        init() throws { pool = try DPDKPortTests.started.get() }

        /// Two rings whose frames go round: what leaves by one comes in by it, and is bridged to the other. Devices of five drivers, one of which has
        /// traffic of its own, come and go meanwhile. In the end every numbered frame is there, and no other; only what the noisy one brought was dropped.
        /// With two workers each polls a ring and hands its frames over to the owner of the other, or the rings' frames are spread.
        @Test(arguments: [(1, nil), (2, nil), (2, true)] as [(Int, Bool?)]) func othersLoseNothing(workers: Int, spread: Bool?) throws {
            let directory = "/tmp/vr-\(UInt32.random(in: 0 ... .max))"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let first = try DPDKPort.open(PortSpec(name: "ring1", driver: .dpdk(device: "net_ring31")))
            let sink = NumberSink()
            let router = Router(RouterConfiguration(cores: Array(repeating: nil, count: workers)), pool: pool) { spec throws(PortError) in
                switch spec.name {
                case "ring1": first
                case "sink": sink
                default: try DPDKPort.open(spec)
                }
            }
            func port(_ name: String, _ device: String) -> RouterOperation { .upsert(.port(PortSpec(name: name, driver: .dpdk(device: device)))) }
            func vif(_ id: UInt32, _ port: String) -> RouterOperation {
                .upsert(.vif(VifSpec(id: .init(id), name: port, kind: .virtual, port: port, vrf: .init(id), mac: MACAddress("00:00:5e:00:01:00")!)))
            }
            let mac = MACAddress("02:00:00:00:00:77")!
            var objects: [RouterOperation] = [31, 32].map {
                .upsert(.port(PortSpec(name: "ring\($0 - 30)", driver: .dpdk(device: "net_ring\($0)"), spread: spread)))
            }
            objects.append(.upsert(.port(PortSpec(name: "sink", driver: .sink))))
            for id in 1...4 as ClosedRange<UInt32> { objects.append(.upsert(.vrf(VRFSpec(id: .init(id), name: "n\(id)")))) }
            for id in 1...2 as ClosedRange<UInt32> { objects.append(vif(id, "ring\(id)")) }
            for id in 1...2 as ClosedRange<UInt32> {
                objects += [
                    .upsert(.nextHop(NextHopSpec(id: .init(id), kind: .encap(vif: .init(3 - id), destination: nil, source: mac)))),
                    .upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(id), mac: mac, nextHop: .init(id)))),
                ]
            }
            objects += [vif(4, "sink"), .upsert(.nextHop(NextHopSpec(id: .init(4), kind: .encap(vif: .init(4), destination: nil, source: mac))))]
            let outcomes = router.apply(objects)
            try #require(outcomes.allSatisfy { $0 == .ok }, "\(outcomes)")

            // An EtherType that nothing but the bridge looks at (IEEE 802, for experiments), then the number.
            let total = 256
            let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: 32)
            frames.initialize(repeating: vr_frame(), count: 32)
            defer { frames.deallocate() }
            let head: [UInt8] = [2, 0, 0, 0, 0, 0x77, 2, 0, 0, 0, 0, 0x11, 0x88, 0xB5]
            for start in stride(from: 0, to: total, by: 32) {
                try #require(pool.allocate(lane: 0, into: frames, count: 32) == 32)
                for index in 0..<32 {
                    for (offset, octet) in head.enumerated() { frames[index].data[offset] = octet }
                    UnsafeMutableRawPointer(frames[index].data).storeBytes(of: UInt32(start + index), toByteOffset: 16, as: UInt32.self)
                    frames[index].length = 60
                    frames[index].tailroom -= 60
                }
                try #require(first.transmit(queue: 0, pool: pool, lane: 0, frames, count: 32) == 32)
            }
            router.start()

            // A capture of no frame.
            try Data([0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0]).write(
                to: URL(fileURLWithPath: directory + "/in.pcap"))
            let devices = [
                "net_ring33", "net_null33,size=64", "net_vhost33,iface=\(directory)/v.sock", "net_memif33,role=server,socket=\(directory)/m.sock",
                "net_pcap33,rx_pcap=\(directory)/in.pcap,tx_pcap=\(directory)/out.pcap",
            ]
            var forwarded: UInt64 = 0
            for round in 0..<40 {
                let added = router.apply([port("third", devices[round % devices.count]), vif(3, "third")])
                #expect(added == [.ok, .ok], "\(devices[round % devices.count]): \(added)")
                // The others move on beside it.
                for wait in 0... {
                    let totals = router.status().totals
                    #expect(totals.isBalanced)
                    if totals.forwarded > forwarded + 10 * UInt64(total) {
                        forwarded = totals.forwarded
                        break
                    }
                    try #require(wait < 5000, "no frame moves in round \(round): \(totals)")
                    usleep(1000)
                }
                let removed = router.apply([.delete(.vif(.init(3))), .delete(.port("third"))])
                #expect(removed == [.ok, .ok], "\(removed)")
            }
            // All that goes round is led out.
            #expect(router.apply([.upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(2), mac: mac, nextHop: .init(4))))]) == [.ok])
            for _ in 0..<5000 where sink.numbers.count < total { usleep(1000) }
            router.stop()

            let status = router.status(), numbers = sink.numbers
            #expect(status.totals.isBalanced)
            // One behind the other, round and round.
            for (number, next) in zip(numbers, numbers.dropFirst()) { #expect(next == (number + 1) % UInt32(total)) }
            #expect(numbers.sorted() == (0..<UInt32(total)).map { $0 })
            // What the rings carried was never dropped: the frames that were are all of the noisy one.
            let lost = status.drops.filter { $0.packets > 0 }
            #expect(status.totals.received - status.totals.forwarded == lost.reduce(0) { $0 + $1.packets })
            #expect(lost.allSatisfy { ![.transmitQueueFull, .interfaceTransmitDiscard, .headAllocation].contains($0.reason) }, "\(lost)")
            for vif in router.vifs(after: nil, limit: 10) { #expect(vif.counters.drops == 0 && vif.counters.transmitErrors == 0, "\(vif)") }
        }
    }
}

/// Keeps the numbers of the frames it is given, in their order.
private final class NumberSink: Dataplane.Port, @unchecked Sendable {
    private let seen = Mutex<[UInt32]>([])
    var numbers: [UInt32] { seen.withLock { $0 } }

    init() { super.init(name: "sink", driver: "test", device: "sink", mtu: 1500) }

    override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
        let numbers = (0..<count).map { UnsafeRawPointer(frames[$0].data).loadUnaligned(fromByteOffset: 16, as: UInt32.self) }
        seen.withLock { $0 += numbers }
        pool.release(lane: lane, frames, count: count)
        return count
    }
}
#endif
