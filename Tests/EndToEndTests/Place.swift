import Foundation

/// Where things are, and whether what the tests need is there.
enum Place {
    /// The top of the repository. From the source's path, or, where the tests were built elsewhere, from the current directory.
    static let repository: String = {
        var candidates = [URL(fileURLWithPath: #filePath).resolvingSymlinksInPath(), URL(fileURLWithPath: FileManager.default.currentDirectoryPath)]
        for _ in 0..<3 { candidates[0].deleteLastPathComponent() }
        return candidates.map(\.path).first { FileManager.default.fileExists(atPath: $0 + "/scripts/lab.sh") } ?? candidates[1].path
    }()

    static let binaries = ProcessInfo.processInfo.environment["VROUTER_BIN"] ?? repository + "/.build/release"

    /// Debian's Python, which has the Debian packages; another may come first in PATH.
    static let python = "/usr/bin/python3"

    /// A file beside the tests.
    static func input(_ name: String) -> String { repository + "/Tests/EndToEndTests/Inputs/" + name }

    static func program(_ name: String) -> String { binaries + "/" + name }

    /// Throws when the tests cannot be run here: not a reason to skip them, but to put this right.
    static func checkRequirements() throws { try requirements.get() }

    /// Held until this process ends: two runs at a time would take each other's namespaces away.
    private static func lock() throws {
        let file = open("/tmp/swift-vrouter-e2e.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Failure("/tmp/swift-vrouter-e2e.lock: \(String(cString: strerror(errno)))") }
        try eventually("the end of another run of these tests on this machine", within: 900) { flock(file, LOCK_EX | LOCK_NB) == 0 }
    }

    private static let requirements = Result {
        guard geteuid() == 0 else { throw Failure("the end-to-end tests make network namespaces and need root") }
        guard FileManager.default.fileExists(atPath: repository + "/scripts/lab.sh") else {
            throw Failure("\(repository) is not the top of the repository; run the tests from there")
        }
        for name in ["vrouter", "vrouter-agent", "vrouter-controller", "vrctl"] where !FileManager.default.isExecutableFile(atPath: program(name)) {
            throw Failure("\(program(name)) is not there: build it with ./run build, or set VROUTER_BIN")
        }
        let folders = ((ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin").split(separator: ":")
        let tools = [
            "bash", "ip", "ping", "ss", "iperf3", "socat", "tcpdump", "tshark", "jq", "curl", "sysctl", "setpriv", "timeout", "dhclient", "udhcpc",
            "dig", "dnsmasq", python,
        ]
        let missing = tools.filter { tool in
            !tool.hasPrefix("/") && !folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(tool)") }
        }
        guard missing.isEmpty else { throw Failure("not installed: \(missing.joined(separator: ", ")); ./run test installs what the tests need") }
        try lock()
        for module in ["scapy.all", "slixmpp", "grpc"] { try Shell.succeed([python, "-c", "import \(module)"]) }
    }
}
