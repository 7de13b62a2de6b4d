import CPlatform
import Glibc

/// The cores of a machine, as far as workers are concerned.
public struct Machine: Sendable, Hashable {
    /// Those that are there and switched on; empty: not known.
    public var present: [Int]
    /// Those that this process may run on (sched_setaffinity(2), taskset, cpusets).
    public var permitted: [Int]

    public init(present: [Int], permitted: [Int]) {
        self.present = present
        self.permitted = permitted
    }

    /// This machine and this process. Asked anew at every call.
    public static var current: Machine {
        let permitted = withUnsafeTemporaryAllocation(of: Int32.self, capacity: 1024) { cores in
            (0..<Int(vr_allowed_cores(cores.baseAddress, 1024))).map { Int(cores[$0]) }
        }
        return Machine(present: list(line(of: "/sys/devices/system/cpu/online")), permitted: permitted)
    }

    /// Why a worker cannot be pinned to a core; nil: it can.
    public func refusal(core: Int) -> String? {
        if permitted.isEmpty || permitted.contains(core) { return nil }
        if present.isEmpty || present.contains(core) {
            return "core \(core) is not permitted to this process (taskset, cpuset); permitted are \(Machine.text(permitted))"
        }
        return "core \(core) does not exist or is switched off; there are \(Machine.text(present))"
    }

    /// "0-3,8"
    public static func text(_ cores: [Int]) -> String {
        var parts: [String] = [], at = 0
        let cores = cores.sorted()
        while at < cores.count {
            var end = at
            while end + 1 < cores.count, cores[end + 1] == cores[end] + 1 { end += 1 }
            parts.append(end == at ? "\(cores[at])" : "\(cores[at])-\(cores[end])")
            at = end + 1
        }
        return parts.joined(separator: ",")
    }

    /// The reverse, as the kernel writes it; what is not understood is left out.
    static func list(_ text: String) -> [Int] {
        text.split(separator: ",").flatMap { part -> [Int] in
            let ends = part.split(separator: "-").map { Int($0.filter { $0.isNumber }) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last, last < 1 << 16 else { return [] }
            return Array(first...last)
        }
    }

    private static func line(of path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { text in
            guard let base = text.baseAddress, fgets(base, 4096, file) != nil else { return "" }
            return String(cString: base)
        }
    }
}
