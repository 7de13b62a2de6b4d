import CBench
import CPlatform
import Foundation
import NetTypes
import Workloads

/// The kernel's own IP forwarding. It has no DPDK device, so packets are put into its receive path from memory (BPF live frames, 64 at a time, all
/// of one flow) in a network namespace without a name, routed, and sent to an `ifb` device, which counts and frees them. What handing them in costs by
/// itself is measured by dropping them at once; that is its floor, and nothing is subtracted.
///
/// This runs in a process of its own (`vrbench --kernel-forwarding`), which `unshare` starts in the namespace.
enum KernelForwarding {
    struct Result: Codable {
        var cycles: Double
        var floor: Double
        var packets: Int
    }

    /// What makes the namespace a router: everything under 11.0.0.0/8 leaves by an ifb device.
    static let setUp = """
        for family in all default; do echo 1 >/proc/sys/net/ipv6/conf/$family/disable_ipv6; done
        ip link set lo up
        ip link add vrb0 type ifb
        ip link set vrb0 up
        ip address add 10.9.0.1/24 dev vrb0
        ip route add 11.0.0.0/8 via 10.9.0.2
        ip neighbour add 10.9.0.2 lladdr 02:00:00:00:01:11 dev vrb0
        cd /proc/sys/net/ipv4
        echo 1 >ip_forward
        echo 0 >conf/all/rp_filter
        echo 0 >conf/lo/rp_filter
        echo 1 >conf/lo/accept_local

        """

    /// In the namespace: prove, measure, print as JSON.
    static func serve() throws {
        let frame = Frames.udp(
            from: .v4(.init(10, 1, 0, 1)), 1024, to: .v4(.init(11, 1, 2, 3)), 2048, destinationMAC: .zero, sourceMAC: Program.source)
        let before = try sunk()
        _ = try inject(frame, pass: true, windows: 4)
        let result = try inject(frame, pass: true, windows: 40), floor = try inject(frame, pass: false, windows: 40)
        let left = try sunk() - before
        guard left == 44 * window else {
            throw MeasureError(description: "\(44 * window) packets were to be forwarded, \(left) reached the device")
        }
        say(String(decoding: try JSONEncoder().encode(Result(cycles: result, floor: floor, packets: 40 * window)), as: UTF8.self))
    }

    private static let window = 16384

    private static func inject(_ frame: [UInt8], pass: Bool, windows: Int) throws -> Double {
        let program = vb_kernel_program(pass ? 1 : 0, frame)
        guard program >= 0 else { throw MeasureError(description: "the kernel takes no XDP program: \(String(cString: strerror(-program)))") }
        defer { close(program) }
        var samples: [Double] = []
        for _ in 0..<windows {
            let start = vr_tsc(), status = vb_kernel_inject(program, frame, UInt32(frame.count), UInt32(window))
            guard status == 0 else { throw MeasureError(description: "the kernel takes no live frames: \(String(cString: strerror(-status)))") }
            samples.append(Double(vr_tsc() - start) / Double(window))
        }
        samples.sort()
        return samples[samples.count / 10]
    }

    /// Packets that reached the device: ifb drops what it did not get by redirection, and counts it as a receive drop, the fourth column.
    private static func sunk() throws -> Int {
        let lines = try String(contentsOfFile: "/proc/self/net/dev", encoding: .utf8).split(separator: "\n")
        let words = lines.first { $0.contains("vrb0:") }?.split(separator: ":").last?.split(separator: " ") ?? []
        guard words.count > 3, let value = Int(words[3]) else { throw MeasureError(description: "/proc/net/dev does not know vrb0") }
        return value
    }
}

extension KernelForwarding {
    static let program = "Linux kernel, ip_forward"
    static let scenario = "one flow, put in from memory (no DPDK device)"

    /// One process, one figure; the pairs are made by the caller.
    static func run(_ site: Site) throws -> Result {
        let text = try command([
            "unshare", "--net", "timeout", "60", "sh", "-ec", KernelForwarding.setUp + "exec taskset -c \(site.core) \"$0\" --kernel-forwarding",
            site.products + "/vrbench",
        ])
        return try JSONDecoder().decode(KernelForwarding.Result.self, from: Data(text.utf8))
    }
}
