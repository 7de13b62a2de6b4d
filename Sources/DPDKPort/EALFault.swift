#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension DPDK {
    /// The first argument that EAL cannot be meant to be given, and why; nil when there is none. EAL itself answers many mistakes with a page of usage
    /// on standard output, or not at all. Does not start anything: for `--check-config`, too.
    public static func fault(inEAL arguments: [String]) -> (index: Int, text: String)? {
        var index = 0
        while index < arguments.count {
            let argument = arguments[index]
            guard argument.hasPrefix("-"), argument != "-", argument != "--" else {
                return (index, "EAL takes options alone; '\(argument)' is none, and belongs to none")
            }
            guard let (option, attached) = split(argument) else {
                let near = options.map(\.key).filter { $0.hasPrefix("--") }.first { isNear($0, argument.prefix { $0 != "=" }) }
                return (index, "EAL has no option '\(argument)'\(near.map { "; did you mean '\($0)'?" } ?? "")")
            }
            var value = attached
            let at = index
            switch options.first(where: { $0.key == option })?.value {
            case .absent where attached != nil: return (at, "\(option) of EAL takes no value")
            case .required where attached == nil:
                index += 1
                guard index < arguments.count else { return (at, "\(option) of EAL needs a value: write it as the next argument") }
                value = arguments[index]
            default: break
            }
            if let reason = fault(option, value ?? "") { return (value == attached ? at : index, reason) }
            index += 1
        }
        return nil
    }

    private enum Operand { case absent, required, optional }

    private static let options: KeyValuePairs<String, Operand> = [
        "-a": .required, "-b": .required, "-c": .required, "-d": .required, "-l": .required, "-m": .required, "-n": .required, "-r": .required,
        "-s": .required, "-S": .required, "-h": .absent, "-v": .absent,
        "--allow": .required, "--block": .required, "--base-virtaddr": .required, "--create-uio-dev": .absent, "--file-prefix": .required,
        "--force-max-simd-bitwidth": .required, "--help": .absent, "--huge-dir": .required, "--huge-unlink": .optional,
        "--huge-worker-stack": .optional,
        "--in-memory": .absent, "--iova-mode": .required, "--lcores": .required, "--legacy-mem": .absent, "--log-color": .optional,
        "--log-level": .required, "--log-timestamp": .optional, "--main-lcore": .required, "--match-allocations": .absent,
        "--mbuf-pool-ops-name": .required, "--no-hpet": .absent, "--no-huge": .absent, "--no-numa": .absent, "--no-pci": .absent,
        "--no-shconf": .absent,
        "--no-telemetry": .absent, "--numa-limit": .required, "--numa-mem": .required, "--proc-type": .required, "--remap-lcore-ids": .optional,
        "--single-file-segments": .absent, "--socket-limit": .required, "--socket-mem": .required, "--syslog": .optional, "--telemetry": .absent,
        "--trace": .required, "--trace-bufsz": .required, "--trace-dir": .required, "--trace-mode": .required, "--vdev": .required,
        "--version": .absent, "--vfio-intr": .required, "--vfio-vf-token": .required, "--vmware-tsc-map": .absent,
    ]

    /// The option's name, and the value written with it: `--vdev=net_null0`, `-m256`. nil: no such option.
    private static func split(_ argument: String) -> (option: String, value: String?)? {
        if argument.hasPrefix("--") {
            let halves = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return options.contains { $0.key == halves[0] } ? (halves[0], halves.count == 2 ? halves[1] : nil) : nil
        }
        let option = String(argument.prefix(2))
        return options.contains { $0.key == option } ? (option, argument.count > 2 ? String(argument.dropFirst(2)) : nil) : nil
    }

    private static func isNear(_ known: String, _ word: some StringProtocol) -> Bool {
        known.hasPrefix(word) || word.hasPrefix(known) || known.sorted() == word.sorted() || known.filter { $0 != "-" } == word.filter { $0 != "-" }
    }

    private static func fault(_ option: String, _ value: String) -> String? {
        switch option {
        case "-h", "--help", "-v", "--version": return "\(option) makes EAL print and end; it has no place in a configuration"
        case "-m":
            guard let size = Int(value), size > 0 else { return "-m of EAL is a number of MiB, not '\(value)'" }
        case "--vdev":
            guard let device = DeviceArguments(value) else {
                return "'\(value)' is no device; write its name and arguments as in net_tap0,iface=tap0"
            }
            return device.fault().map { "--vdev \(value): \($0)" }
        case "-d":
            // A name without a slash is looked for among the libraries of the system.
            guard value.contains("/"), !FileManager.default.fileExists(atPath: value) else { return nil }
            return "there is no plugin \(value); correct the path, or install the package it comes with (Debian: librte-net-…)"
        case "--huge-dir":
            guard !FileManager.default.fileExists(atPath: value) else { return nil }
            return "there is no directory \(value); mount hugetlbfs there, or leave --huge-dir out"
        case "--proc-type": if value == "secondary" { return "vrouter cannot be a secondary process: it owns its buffers" }
        default: break
        }
        return nil
    }

    /// What to do about EAL's reason for not starting, where that is known.
    static func advice(_ detail: String) -> String {
        let known: KeyValuePairs<String, String> = [
            "cannot open shared object file": "a plugin given with -d is not there: correct it, or install the package it comes with",
            "failed to parse device": "no DPDK driver goes by that name: correct it, or install the driver (Debian: librte-net-…)",
            "hugepage": "no hugepages are free: reserve some (sysctl vm.nr_hugepages=512), or let EAL do without (--no-huge)",
            "another primary process": "give each its own --file-prefix, or --in-memory",
            "invalid parameters": "a core given with -l or --lcores does not exist here, or is not ours to use",
        ]
        return known.first { detail.contains($0.key) }.map { "; \($0.value)" } ?? ""
    }
}
