/// EAL's command line: what the configuration says, and what it leaves open.
///
/// EAL's own defaults suit a program that owns the machine: they pin the main thread, make a thread per core, take every
/// NIC that is bound to a userspace driver, leave files in /run and want hugepages. Added, each unless the arguments decide it:
///
/// | argument | why |
/// |---|---|
/// | `--lcores 0@(…)` | one lcore that floats over the cores the process may use; workers come and go as threads of their own |
/// | `--in-memory` | no files, so several can run on a machine; beside `--no-huge`, which EAL refuses together with it, `--no-shconf` |
/// | `-a 0000:00:00.0` | a list of devices to take at start that matches none: devices are added when a port is |
/// | `--no-huge -m <MiB>` | when fewer hugepages are free than the buffers need: ordinary memory of that size (not with a given `--in-memory`) |
/// | `--no-telemetry` | no socket of EAL's own |
struct EALArguments {
    var given: [String]
    /// Cores this process may run on.
    var cores: [Int32]
    /// Octets of free hugepages.
    var hugepages: UInt64
    /// Octets of the buffer pool.
    var memory: UInt64

    /// True when one of `names` is among the given arguments: `-m 5`, `-m5`, `--socket-mem=5`, `--socket-mem 5`.
    private func decides(_ names: String...) -> Bool {
        given.contains { argument in
            names.contains { name in
                if argument == name { return true }
                return name.hasPrefix("--") ? argument.hasPrefix(name + "=") : argument.hasPrefix(name) && !argument.hasPrefix("--")
            }
        }
    }

    var complete: [String] {
        var result = given
        if !decides("-l", "-c", "--lcores", "-s", "-S") {
            result += ["--lcores", "0@(\(cores.map(String.init).joined(separator: ",")))"]
        }
        if !decides("-a", "--allow", "-b", "--block", "--no-pci") { result += ["-a", "0000:00:00.0"] }
        // Beside the buffers: mempool bookkeeping, rings, device structures.
        let wanted = memory + memory / 8 + 64 << 20
        let wantsHuge = decides("--huge-dir", "--huge-unlink", "--single-file-segments", "--socket-mem", "--legacy-mem", "--huge-worker-stack")
        if !decides("--no-huge", "--in-memory"), !wantsHuge, hugepages < wanted { result.append("--no-huge") }
        if result.contains("--no-huge"), !decides("-m", "--socket-mem") { result += ["-m", String(max(128, wanted >> 20))] }
        if !decides("--in-memory", "--no-shconf", "--file-prefix", "--huge-dir", "--proc-type") {
            result.append(result.contains("--no-huge") ? "--no-shconf" : "--in-memory")
        }
        if !decides("--telemetry", "--no-telemetry") { result.append("--no-telemetry") }
        return result
    }
}
