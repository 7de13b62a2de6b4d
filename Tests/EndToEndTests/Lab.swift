import Foundation
import Testing

/// The laboratory of scripts/lab.sh: a controller and two nodes, each with vrouter and its agent, and a namespace per workload.
final class Lab: Sendable {
    struct Setup: Sendable {
        /// Names the namespaces: e2e-<name>-node1.
        var name: String
        var ports = "pcap"
        var config = "configs/demo.yaml"
        /// Said after lab.sh: shell arrays that describe other workloads.
        var prelude = ""
        var nodes = ["node1", "node2"]

        var directory: String { "/tmp/swift-vrouter-e2e-\(name)" }
        func inside(_ namespace: String, _ command: [String]) -> [String] { ["ip", "netns", "exec", "e2e-\(name)-\(namespace)"] + command }
        /// The words that run vrctl on a node.
        func vrctl(_ node: String, _ arguments: [String]) -> [String] {
            let daemons = ["--socket", "\(directory)/\(node)/dataplane.sock", "--controller", "http://10.0.0.1:8082"]
            return inside(node, [Place.program("vrctl")] + daemons + arguments)
        }
    }

    let setup: Setup
    var directory: String { setup.directory }
    /// From the first program's start until both nodes were ready, in seconds.
    let startSeconds: Double
    /// Packet buffers that devices hold when there is no traffic: none with libpcap, the receive rings with DPDK.
    let idleBuffers: [String: Int]

    /// The lab of the suite that runs.
    @TaskLocal fileprivate static var up: Lab?
    static var current: Lab {
        get throws {
            guard let up else { throw Failure("the suite of this test has no lab: give it the trait .lab") }
            return up
        }
    }

    fileprivate init(_ setup: Setup) throws {
        try Place.checkRequirements()
        self.setup = setup
        let directory = setup.directory
        try Lab.remove(setup)
        try? FileManager.default.removeItem(atPath: directory)
        do {
            try Lab.bash(setup, "lab_network; lab_write_configs")
            // One account more than there are nodes: for an observer.
            try Lab.bash(setup, "sed -i 's/credentials: {/credentials: {observer: secret-of-observer, /' \"$LAB_DIR/controller.yaml\"")
            let begun = ContinuousClock.now
            try Lab.bash(setup, "lab_start_controller; for node in $LAB_NODES; do lab_start_vrouter $node; lab_start_agent $node; done")
            try Lab.bash(
                setup,
                """
                wait_for 20 "the controller answering" in_ns controller curl -sf http://10.0.0.1:8082/v1/status
                in_ns controller "$LAB_BIN/vrctl" --controller http://10.0.0.1:8082 apply -f "$LAB_CONFIG"
                if [ "$LAB_PORTS" = dpdk ]; then
                    for node in $LAB_NODES; do for workload in ${NODE_WORKLOADS[$node]}; do lab_adopt_tap "$node" "$workload"; done; done
                fi
                for node in $LAB_NODES; do
                    wait_for 30 "$node ready" lab_node_ready "$node" || { in_ns "$node" curl -s http://127.0.0.1:9091/status >&2; exit 1; }
                done
                """, limit: 120)
            let took = ContinuousClock.now - begun
            startSeconds = Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
            idleBuffers = try Dictionary(uniqueKeysWithValues: setup.nodes.map { ($0, try Lab.dataplane($0, setup).buffers.inUse) })
        } catch {
            let log = Lab.lastWords(in: directory)
            try? Lab.remove(setup)
            throw Failure("\(error)\n\(log)")
        }
    }

    fileprivate func down() throws { try Lab.remove(setup) }

    /// Ends what runs in namespaces of this name, by process id, and deletes them: also those that a test that was killed left behind.
    private static func remove(_ setup: Setup) throws {
        try bash(
            setup,
            """
            for ns in $(ip netns list | awk '{print $1}' | grep "^$LAB-" || true); do
                for pid in $(ip netns pids "$ns"); do kill -TERM "$pid" 2>/dev/null || true; done
            done
            lab_down
            for ns in $(ip netns list | awk '{print $1}' | grep "^$LAB-" || true); do
                for pid in $(ip netns pids "$ns"); do kill -KILL "$pid" 2>/dev/null || true; done
            done
            """)
    }

    @discardableResult private static func bash(_ setup: Setup, _ script: String, limit: Int = 60) throws -> String {
        try Shell.succeed(
            ["bash", "-c", "set -euo pipefail; . scripts/lab.sh; \(setup.prelude)\n\(script)"],
            environment: [
                "LAB": "e2e-\(setup.name)", "LAB_DIR": setup.directory, "LAB_BIN": Place.binaries, "LAB_PORTS": setup.ports,
                "LAB_CONFIG": setup.config,
            ], limit: limit)
    }

    private static func lastWords(in directory: String) -> String {
        let logs = (try? FileManager.default.contentsOfDirectory(atPath: directory + "/log"))?.sorted() ?? []
        return logs.map { "--- \($0)\n" + textOfFile("\(directory)/log/\($0)").split(separator: "\n").suffix(8).joined(separator: "\n") }
            .joined(separator: "\n")
    }

    // MARK: - Commands

    /// Runs a piece of shell that may use the functions of lab.sh.
    @discardableResult func shell(_ script: String, limit: Int = 60) throws -> String { try Lab.bash(setup, script, limit: limit) }

    /// The words that run a command in a namespace.
    func inside(_ namespace: String, _ command: [String]) -> [String] { setup.inside(namespace, command) }

    func run(in namespace: String, _ command: [String], input: String? = nil, limit: Int = 30) throws -> Outcome {
        try Shell.run(inside(namespace, command), input: input, limit: limit)
    }

    @discardableResult func succeed(in namespace: String, _ command: [String], input: String? = nil, limit: Int = 30) throws -> String {
        try Shell.succeed(inside(namespace, command), input: input, limit: limit)
    }

    func start(in namespace: String, _ command: [String]) throws -> Background { try Background(inside(namespace, command)) }

    func vrctl(_ node: String, _ arguments: String..., input: String? = nil) throws -> Outcome {
        try Shell.run(setup.vrctl(node, arguments), input: input)
    }

    // MARK: - The programs

    func processIdentifier(_ program: String) throws -> Int32 {
        guard let pid = Int32(textOfFile("\(directory)/\(program).pid").trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw Failure("\(program) was not started")
        }
        return pid
    }

    /// `node1-agent`, `node1-vrouter`, `controller`.
    func isRunning(_ program: String) throws -> Bool {
        let status = textOfFile("/proc/\(try processIdentifier(program))/status")
        return !status.isEmpty && !status.contains("State:\tZ")
    }

    /// kill -9.
    func kill(_ program: String) throws {
        let pid = try processIdentifier(program)
        guard Foundation.kill(pid, SIGKILL) == 0 else { throw Failure("\(program) (process \(pid)) was not running any more") }
        try eventually("the end of \(program)") { try !isRunning(program) }
    }

    func waitUntilReady() throws {
        for node in setup.nodes { try shell("wait_for 30 '\(node) ready' lab_node_ready \(node)") }
    }
}

/// Brings a lab up before a suite and takes it away after it.
struct LabTrait: SuiteTrait, TestScoping {
    var setup: Lab.Setup

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let lab = try Lab(setup)
        do {
            try await Lab.$up.withValue(lab) { try await function() }
        } catch {
            try lab.down()
            throw error
        }
        try lab.down()
    }
}

extension Trait where Self == LabTrait {
    static func lab(_ setup: Lab.Setup) -> LabTrait { LabTrait(setup: setup) }
}
