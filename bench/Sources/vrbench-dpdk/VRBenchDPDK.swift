import ArgumentParser
import CPlatform
import DPDKPort
import Dataplane
import Glibc
import NetTypes
import Workloads

/// Our side of a comparison: a router with one worker between two DPDK ports, as `dpdk-testpmd` or `ovs-vswitchd` are started beside it. It runs until it is
/// ended; what it does is measured by the plugin that feeds its first port.
@main struct VRBenchDPDK: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vrbench-dpdk", abstract: "Runs one workload of vrbench between DPDK devices, until ended. `vrbench --compare` starts it.")

    @Argument(help: "The workload: W1-10k.") var workload: String
    @Option(help: "Core of the worker.") var core: Int = 0
    @Option(help: "The device that packets come in by.") var input = "net_null0"
    @Option(help: "The device that they leave by.") var output = "net_null1,no-rx=1"
    @Option(help: "Octets of a buffer.") var bufferSize = 4352
    @Option(help: "After so many packets, write down once how many entries the flow table has.") var firstPackets: Int?
    @Option(parsing: .remaining, help: "EAL's arguments; last.") var eal: [String] = []

    func run() throws {
        let pool = try DPDK.start(arguments: eal, count: 16384, size: bufferSize)
        if workload.hasPrefix("W0") { return try forward(pool) }
        let all = Workload.catalogue(quick: false) + [250_000, 1_000_000].map(Workload.firstPackets)
        guard let workload = all.first(where: { $0.name == workload }) else {
            throw ValidationError("there is no workload \(workload); see vrbench --list")
        }
        let input = input, output = output
        let router = Router(RouterConfiguration(cores: [core], idle: .poll, flowCapacity: flowCapacity(workload)), pool: pool) {
            spec throws(PortError) in
            var spec = spec
            switch spec.name {
            case workload.receivingPort: spec.driver = .dpdk(device: input)
            case workload.transmittingPort: spec.driver = .dpdk(device: output)
            default: return LoopbackPort(name: spec.name, mtu: spec.mtu)
            }
            spec.mtu = 0
            return try DPDKPort.open(spec)
        }
        // Nothing is received before the workers start.
        let objects = workload.objects()
        for (object, outcome) in zip(objects, router.apply(objects.map(RouterOperation.upsert))) where outcome != .ok {
            throw ValidationError("\(object) was refused: \(outcome)")
        }
        router.start()
        if let firstPackets { report(router, after: firstPackets) }
        while true { _ = vr_wait_readable(nil, 0, 1_000_000_000) }
    }

    /// As in `vrbench`: two entries for each flow, and some.
    private func flowCapacity(_ workload: Workload) -> Int { workload.id == "W8" ? max(1 << 19, (firstPackets ?? 0) * 9 / 4 + 1024) : 1 << 22 }

    /// What came of first packets. Counters are published by the worker when it has nothing to do.
    private func report(_ router: Router, after packets: Int) {
        while router.status().totals.forwarded < UInt64(packets) { _ = vr_wait_readable(nil, 0, 20_000_000) }
        let status = router.status(), entries = status.tables.first { $0.name == "flow" }?.used ?? 0
        print("flow entries \(entries), forwarded \(status.totals.forwarded)")
        fflush(nil)
    }

    /// W0: what is received is sent, by the same ports and buffers as a router's.
    private func forward(_ pool: BufferPool) throws {
        let output = try DPDKPort.open(PortSpec(name: "output", driver: .dpdk(device: output)))
        let input = try DPDKPort.open(PortSpec(name: "input", driver: .dpdk(device: input)))
        _ = vr_pin_thread(Int32(core))
        let frames = UnsafeMutablePointer<vr_frame>.allocate(capacity: Int(VR_BURST))
        while true {
            let count = input.receive(queue: 0, pool: pool, lane: 0, into: frames, capacity: Int(VR_BURST))
            let sent = output.transmit(queue: 0, pool: pool, lane: 0, frames, count: count)
            if sent < count { pool.release(lane: 0, frames + sent, count: count - sent) }
        }
    }
}
