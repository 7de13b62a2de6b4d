import ArgumentParser
import CPlatform
import DPDKPort
import Dataplane
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
    @Option(parsing: .upToNextOption, help: "EAL's arguments.") var eal: [String] = []

    func run() throws {
        guard let workload = Workload.catalogue(quick: false).first(where: { $0.name == workload }) else {
            throw ValidationError("there is no workload \(workload); see vrbench --list")
        }
        let pool = try DPDK.start(arguments: eal, count: 16384, size: 2304)
        let input = input, output = output
        let router = Router(RouterConfiguration(cores: [core], idle: .poll, flowCapacity: 1 << 22), pool: pool) { spec throws(PortError) in
            var spec = spec
            switch spec.name {
            case workload.receivingPort: spec.driver = .dpdk(device: input)
            case workload.transmittingPort: spec.driver = .dpdk(device: output)
            default: return LoopbackPort(name: spec.name, mtu: spec.mtu)
            }
            spec.mtu = 0
            return try DPDKPort.open(spec)
        }
        for (object, outcome) in zip(workload.objects(), router.apply(workload.objects().map(RouterOperation.upsert))) where outcome != .ok {
            throw ValidationError("\(object) was refused: \(outcome)")
        }
        router.start()
        print("running")
        while true { _ = vr_wait_readable([], 0, 1_000_000_000) }
    }
}
