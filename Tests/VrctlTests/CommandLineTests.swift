import Foundation
import Testing

@testable import vrctl

@Suite struct CommandLineTests {
    /// Command lines that are wrong: exit code 2, one line that says so, and nothing is connected to.
    @Test(arguments: [
        "vrctl bogus", "vrctl vif", "vrctl vif --list --get 3", "vrctl vif --get x", "vrctl vif --get -1", "vrctl vif --clear --rate",
        "vrctl vif --list --unknown",
        "vrctl nh", "vrctl nh --list --get 1", "vrctl rt", "vrctl rt --dump 1 --get 10.0.0.1", "vrctl rt --get 10.0.0.1", "vrctl rt --dump 1 --vrf 1",
        "vrctl rt --get 10.0.0.1/8 --vrf 1", "vrctl rt --get host --vrf 1", "vrctl rt --get 10.0.0.1 --vrf 1 --family inet6",
        "vrctl rt --dump 1 --family ipx",
        "vrctl mpls", "vrctl mpls --dump --get 1", "vrctl vxlan --get 99999999999", "vrctl flow", "vrctl flow -l -r", "vrctl flow -l --count 3",
        "vrctl flow -r --count 0", "vrctl flow --match nonsense", "vrctl flow --get", "vrctl dropstats -o yaml", "vrctl status nothing", "vrctl get",
        "vrctl get things", "vrctl get ports -o xml", "vrctl describe port", "vrctl delete", "vrctl delete port", "vrctl delete port p -f file",
        "vrctl apply",
        "vrctl apply -f - -f -", "vrctl diff", "vrctl port add --id a", "vrctl port add --id a --interface t --network n --mac zz",
        "vrctl port add --id a --interface t --network n --mac 01:00:5e:00:00:01",
        "vrctl port add --id a --interface t --network n --mac 02:00:00:00:00:01 --address 10.0.0",
        "vrctl port add --id a --interface t --network n --mac 02:00:00:00:00:01 --address 10.0.0.1 --address 10.0.0.2", "vrctl port delete",
        "vrctl install-aliases", "flow", "vif", "rt --dump", "flow --list extra", "nh --socket",
    ])
    func wrong(_ line: String) async {
        let connector = FakeConnector(router: FakeRouter()), web = FakeWeb()
        let result = await run(line.split(separator: " ").map(String.init), web: web, connector: connector)
        #expect(result.code == 2, "\(result)")
        #expect(result.output.isEmpty)
        #expect(result.errors.hasSuffix("--help')\n") && result.errors.filter { $0 == "\n" }.count == 1, "\(result.errors)")
        #expect(connector.sockets.text.isEmpty && web.requests.isEmpty)
    }

    @Test func theMessageNamesTheHelpOfTheCommandThatWasMeant() async {
        #expect(
            await run(["vrctl", "vif"]).errors == "vrctl: give one of --list, --get, --clear (see 'vrctl vif --help')\n")
        #expect(await run(["flow"]).errors.hasSuffix("(see 'flow --help')\n"))
    }

    @Test func controlCharactersOfArgumentsDoNotReachTheTerminal() async {
        #expect(!(await run(["vrctl", "\u{1B}[2J"]).errors.contains("\u{1B}")))
    }

    @Test(
        arguments: ["vrctl", "vrctl --help", "vrctl port", "vrctl help vif"]
            + CommandLineTool.classicNames.flatMap { ["\($0) --help", "vrctl \($0) --help"] }
            + ["status", "apply", "get", "describe", "delete", "diff", "port add", "port delete", "port list", "install-aliases"].map {
                "vrctl \($0) --help"
            })
    func help(_ line: String) async {
        let result = await run(line.split(separator: " ").map(String.init))
        #expect(result.code == 0 && result.errors.isEmpty)
        #expect(result.output.contains("USAGE: "))
        if line.hasSuffix("--help") { #expect(result.output.contains("EXAMPLES"), "no example in the help of \(line)") }
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionScripts(_ shell: String) async {
        let result = await run(["vrctl", "--generate-completion-script", shell])
        #expect(result.code == 0 && result.output.contains("install-aliases") && result.output.contains("match"))
    }

    @Test func aClassicNameSelectsItsTool() async {
        #expect(CommandLineTool.classicNames == ["flow", "vif", "nh", "rt", "mpls", "vxlan", "dropstats", "mirror", "vifdump"])
        #expect(await run(["/usr/local/bin/mpls", "--dump"], router: FakeRouter()).output.hasPrefix("MPLS Input Label Map"))
        #expect(await run(["vrctl", "mpls", "--dump"], router: FakeRouter()).output.hasPrefix("MPLS Input Label Map"))
        #expect(await run(["/opt/renamed", "mpls", "--dump"], router: FakeRouter()).code == 0)
        #expect(await run([], router: FakeRouter()).code == 0)
    }

    @Test func optionsGoBeforeAndAfterTheVerb() async {
        for line in [["vrctl", "--socket", "/x", "vif", "--list"], ["vrctl", "vif", "--list", "--socket", "/x"], ["vif", "--socket=/x", "--list"]] {
            let connector = FakeConnector(router: FakeRouter())
            #expect(await run(line, connector: connector).code == 0)
            #expect(connector.sockets.text == "/x\n", "\(line)")
        }
    }

    @Test func theOptionBeatsTheEnvironmentBeatsTheDefault() async {
        func socket(_ arguments: [String], _ environment: [String: String]) async -> String {
            let connector = FakeConnector(router: FakeRouter())
            _ = await run(["vif", "--list"] + arguments, environment: environment, connector: connector)
            return connector.sockets.text
        }
        #expect(await socket([], [:]) == "/run/vrouter/dataplane.sock\n")
        #expect(await socket([], ["VROUTER_SOCKET": ""]) == "/run/vrouter/dataplane.sock\n")
        #expect(await socket([], ["VROUTER_SOCKET": "/env"]) == "/env\n")
        #expect(await socket(["--socket", "/option"], ["VROUTER_SOCKET": "/env"]) == "/option\n")
        let web = FakeWeb()
        _ = await run(["vrctl", "get", "ports"], web: web, environment: ["VROUTER_CONTROLLER": "http://10.0.0.1:8082/"])
        _ = await run(["vrctl", "port", "list"], web: web, environment: ["VROUTER_AGENT": "http://10.0.0.2:9091"])
        #expect(web.requests.map(\.url) == ["http://10.0.0.1:8082/v1/objects?kind=Port", "http://10.0.0.2:9091/port"])
    }

    @Test(arguments: [
        "vif --list", "nh --list", "rt --dump 1", "mpls --dump", "vxlan --dump", "flow -l", "dropstats", "get ports", "port list", "apply -f f",
    ])
    func aDaemonThatIsNotThereIsThree(_ line: String) async {
        let result = await run(["vrctl"] + line.split(separator: " ").map(String.init), files: ["f": "kind: Port"])
        #expect(result.code == 3)
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("vrctl: cannot reach vrouter") && result.errors.filter { $0 == "\n" }.count == 1)
    }

    /// The real connections, to where nobody listens.
    @Test func realConnectionsFailWithTheSystemsReason() async {
        let missing = FileManager.default.temporaryDirectory.appendingPathComponent("vrctl-\(UUID().uuidString).sock").path
        let failure = await #expect(throws: Failure.self) { try await SocketRouterConnector().withRouter(socket: missing) { _ in } }
        #expect(failure?.kind == .unreachable)
        #expect(failure?.message.contains("no such socket") == true)
        let long = await #expect(throws: Failure.self) {
            try await SocketRouterConnector().withRouter(socket: String(repeating: "x", count: 200)) { _ in }
        }
        #expect(long?.kind == .unreachable)
        let web = await #expect(throws: WebFailure.self) { try await HTTPWebClient().send(WebRequest(url: "http://127.0.0.1:1/status")) }
        #expect(web?.reason.lowercased() == "connection refused")
    }
}

@Suite struct AliasTests {
    private func temporaryDirectory() throws -> URL {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("vrctl-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        return directory
    }

    @Test func makesLinksAndIsIdempotent() async throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(at: directory) }
        let first = await run(["vrctl", "install-aliases", directory.path, "--target", "/usr/bin/vrctl"])
        #expect(first.code == 0)
        #expect(first.output.hasPrefix("\(directory.path)/flow -> /usr/bin/vrctl created\n"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() == CommandLineTool.classicNames.sorted())
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: directory.appendingPathComponent("rt").path) == "/usr/bin/vrctl")
        let second = await run(["vrctl", "install-aliases", directory.path, "--target", "/usr/bin/vrctl"])
        #expect(second.code == 0 && !second.output.contains("created"))
        let other = await run(["vrctl", "install-aliases", directory.path, "--target", "/usr/bin/other"])
        #expect(other.code == 1 && other.errors.contains("is a link to /usr/bin/vrctl"))
    }

    @Test func leavesARegularFileAndMakesNothing() async throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appendingPathComponent("rt")
        try Data("mine".utf8).write(to: file)
        let result = await run(["vrctl", "install-aliases", directory.path])
        #expect(result.code == 1)
        #expect(result.errors == "vrctl: \(file.path) exists and is not a link; remove it first, or choose another directory\n")
        #expect(try String(contentsOf: file, encoding: .utf8) == "mine")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["rt"])
    }

    @Test func noDirectory() async {
        #expect(await run(["vrctl", "install-aliases", "/nonexistent/dir"]).errors == "vrctl: /nonexistent/dir is not a directory; make it first\n")
    }
}
