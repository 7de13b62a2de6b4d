import CPlatform
import Foundation
import Workloads

/// Where a comparison happens: a folder of its own, the cores, the plugin, the trace.
struct Site {
    /// Removed when all is over.
    let folder: String
    /// The core under test, and another one for everything else.
    let core: Int32, otherCore: Int32
    /// Where our own executables and the plugin are.
    let products: String

    var plugin: String { products + "/libvrfeed.so" }
    var tracePath: String { folder + "/trace" }
    func outPath(_ side: String) -> String { "\(folder)/\(side).out" }

    /// The trace is replayed without end, or once.
    var replaysOnce = false

    func environment(_ side: String) -> [String: String] {
        ["VRFEED_TRACE": tracePath, "VRFEED_OUT": outPath(side), "VRFEED_WINDOW": "16384"].merging(
            replaysOnce ? ["VRFEED_PASSES": "1", "VRFEED_DELAY": "500"] : [:]
        ) { $1 }
    }

    /// Without hugepages, a buffer of less than a page gets a page of its own, all buffers begin at the same offset in a page, and a burst of them does not
    /// fit into the 12 ways of a first-level cache: testpmd then takes three times as long. Buffers larger than a page do not have that, and cost what
    /// hugepages cost. So every program gets such buffers, and no setting of the machine is touched.
    static let bufferSize = 4352
    /// Makes the folder, and removes it afterwards.
    static func use<Result>(core: Int32, _ body: (Site) throws -> Result) throws -> Result {
        guard geteuid() == 0 else { throw MeasureError(description: "--compare starts DPDK programs and a network namespace and needs root") }
        var cores = [Int32](repeating: 0, count: 1024)
        let count = Int(vr_allowed_cores(&cores, Int32(cores.count)))
        guard let other = cores.prefix(count).first(where: { $0 != core }) else {
            throw MeasureError(description: "--compare needs two cores: one to measure on, one for everything else")
        }
        let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path
        let folder = NSTemporaryDirectory() + "vrbench-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        Interruption.handle(folder: folder)
        return try body(Site(folder: folder, core: core, otherCore: other, products: executable))
    }

    static let input = "net_null0", output = "net_null1,no-rx=1"
}

/// A program that takes packets from `net_null0` and sends them by `net_null1`.
protocol Peer {
    /// "dpdk-testpmd"
    var program: String { get }
    /// "io": what it was told to do.
    var scenario: String { get }
    /// Octets it adds to a packet.
    var added: Int { get }
    /// Whether it sent a packet that is right, for a frame that came.
    func isRight(_ came: [UInt8], _ left: [UInt8]) -> Bool
    func start(_ site: Site) throws -> any Session
}

/// A peer that runs.
protocol Session {
    var running: Running { get }
    func end()
}

struct PlainSession: Session {
    var running: Running
    func end() { running.end() }
}

/// dpdk-testpmd: io (nothing) or macswap (the two MAC addresses change places).
struct Testpmd: Peer {
    var mode: String
    var program: String { "dpdk-testpmd" }
    var scenario: String { mode }
    var added: Int { 0 }

    func isRight(_ came: [UInt8], _ left: [UInt8]) -> Bool {
        mode == "io" ? left == came : left == Array(came[6..<12]) + Array(came[0..<6]) + came[12...]
    }

    func start(_ site: Site) throws -> any Session { PlainSession(running: try Self.launch(mode, site, trace: site.tracePath)) }

    private static func launch(_ mode: String, _ site: Site, trace: String) throws -> Running {
        try Running(
            "dpdk-testpmd", "/usr/bin/dpdk-testpmd",
            [
                "-d", site.plugin, "--no-huge", "-m", "512", "--no-shconf", "--no-pci", "--no-telemetry", "--lcores",
                "0@\(site.otherCore),1@\(site.core)", "--log-level", "warning", "--vdev", Site.input, "--vdev", Site.output, "--",
                "--forward-mode=\(mode)", "--burst=32", "--nb-cores=1", "--total-num-mbufs=16384", "--mbuf-size=\(Site.bufferSize)",
                "--stats-period=600", "--no-flush-rx",
            ], environment: site.environment("peer").merging(["VRFEED_TRACE": trace]) { $1 }, folder: site.folder)
    }

    /// Cycles per packet of macswap over plain net_null, nothing fed: what the budgets that come from VPP are scaled by.
    static func calibrate(_ site: Site) throws -> Double {
        let running = try launch("macswap", site, trace: "none")
        defer { running.end() }
        var watch = FeedWatch(path: site.outPath("peer"), warmUp: 2_000_000, octets: 64) { _ in true }
        watch.samples = 0
        return try watch.run(running).cycles
    }
}

/// Ours: `vrbench-dpdk` with the same plugin, devices and buffer size.
enum Ours {
    /// `firstPackets`: after so many, the program says how many entries its flow table has.
    static func start(_ workload: String, _ site: Site, firstPackets: Int? = nil) throws -> Running {
        try Running(
            "vrbench-dpdk", site.products + "/vrbench-dpdk",
            [
                workload, "--core", "\(site.core)", "--buffer-size", "\(Site.bufferSize)", "--input", Site.input, "--output", Site.output,
            ] + (firstPackets.map { ["--first-packets", "\($0)"] } ?? []) + [
                "--eal", "-d", site.plugin, "--no-huge", "-m", "1024", "--no-pci", "--log-level", "warning",
            ], environment: site.environment("ours"), folder: site.folder)
    }
}
