import CFuzzer
import Glibc

// One program holds all targets; the rest of the command line is libFuzzer's:
//
//     Fuzz pipeline -max_total_time=60 found/pipeline Corpus/pipeline
//     Fuzz pipeline crash-0123...                                     one input again

/// What octets are fed to. The name is also that of the folder with its first inputs.
enum Target: String, CaseIterable {
    case pipeline
    case ethernet, arp, ipv4, ipv6, icmpv4, icmpv6, nd, tcp, udp, gre, vxlan, mpls, agent
    case offload, fragmenter, segmenter, mssclamp
    case xmpp, objects
    case vrouteryaml, api
    case service, dhcp, dhcpv6, dns, http, connection

    @MainActor func run(_ input: UnsafeRawBufferPointer) {
        switch self {
        case .pipeline: Pipeline.run(input)
        case .ethernet: WireTargets.ethernet(input)
        case .arp: WireTargets.arp(input)
        case .ipv4: WireTargets.ipv4(input)
        case .ipv6: WireTargets.ipv6(input)
        case .icmpv4: WireTargets.icmpv4(input)
        case .icmpv6: WireTargets.icmpv6(input)
        case .nd: WireTargets.neighbourDiscovery(input)
        case .tcp: WireTargets.tcp(input)
        case .udp: WireTargets.udp(input)
        case .gre: WireTargets.gre(input)
        case .vxlan: WireTargets.vxlan(input)
        case .mpls: WireTargets.mpls(input)
        case .agent: WireTargets.agent(input)
        case .offload: ComposeTargets.offload(input)
        case .fragmenter: ComposeTargets.fragmenter(input)
        case .segmenter: ComposeTargets.segmenter(input)
        case .mssclamp: ComposeTargets.mssClamp(input)
        case .xmpp: xmppTarget(input)
        case .objects: ConfigTargets.objects(input)
        case .vrouteryaml: ConfigTargets.vrouterYAML(input)
        case .api: APITarget.run(input)
        case .service: ServiceTargets.packet(input)
        case .dhcp: ServiceTargets.dhcp(input)
        case .dhcpv6: ServiceTargets.dhcpv6(input)
        case .dns: DNSTarget.run(input)
        case .http: ServiceTargets.http(input)
        case .connection: ConnectionTarget.run(input)
        }
    }
}

/// libFuzzer calls everything from the thread that the program begins with.
@MainActor private var target = Target.pipeline

@main struct Fuzz {
    @MainActor static func main() {
        let name = CommandLine.argc > 1 ? CommandLine.unsafeArgv[1].map { String(cString: $0) } ?? "" : ""
        if name == "list" { return print(Target.allCases.map(\.rawValue).joined(separator: "\n")) }
        guard let chosen = Target(rawValue: name) else {
            print(
                "usage: Fuzz TARGET [libFuzzer's options and corpora]; a target is one of: \(Target.allCases.map(\.rawValue).joined(separator: " "))")
            exit(2)
        }
        target = chosen
        // The program's name and everything behind the target.
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv + 1
        arguments?[0] = CommandLine.unsafeArgv[0]
        var count = CommandLine.argc - 1
        exit(
            LLVMFuzzerRunDriver(&count, &arguments) { data, size in
                nonisolated(unsafe) let input = UnsafeRawBufferPointer(start: data, count: size)
                MainActor.assumeIsolated {
                    target.run(input)
                    Exact.releaseAll()
                }
                return 0
            })
    }
}

/// A property that does not hold ends the run; libFuzzer keeps the input.
func require(_ holds: Bool, _ what: @autoclosure () -> String) {
    if !holds { fatalError(what()) }
}
