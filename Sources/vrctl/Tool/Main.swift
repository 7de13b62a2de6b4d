#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// vrctl: one command line for the data plane, the agent and the controller.
///
/// It speaks gRPC to `vrouter` (the programming API on its Unix socket), HTTP/JSON to `vrouter-agent` and `vrouter-controller`.
/// Called by one of the names operators have in their fingers (`flow vif nh rt mpls vxlan dropstats`), it behaves as that tool;
/// the same tools are verbs of `vrctl`.
///
/// # How it is laid out
/// `Tool/` is what every command shares: the process around it as a value (`Context`), failures and their exit codes, options.
/// `Output/` turns values into text and JSON. One folder per verb: the command (options, what to ask, in which order) beside its
/// layout (a pure function from protobuf messages to text), so that a layout is tested with literal messages and no daemon.
///
/// # Memory
/// Tables are read and printed page by page: a million flows are never held at once.
///
/// # Exit codes
/// 0 done · 1 refused, failed, not found, or unhealthy · 2 the command line is wrong · 3 a daemon cannot be reached.
@main
enum Main {
    static func main() async {
        exit(await CommandLineTool.run(CommandLine.arguments, in: .process()))
    }
}
