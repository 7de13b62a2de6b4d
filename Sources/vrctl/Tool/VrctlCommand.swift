import ArgumentParser
import NetTypes

struct VrctlCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vrctl",
        abstract: "Looks into and steers the data plane, the agent and the controller of a virtual network.",
        discussion: """
            EXAMPLES
              vrctl status                        what runs, what is wrong and why
              vrctl vif --list                    virtual interfaces, their counters
              vrctl rt --dump 1                   routes of VRF 1
              vrctl flow --match '10.1.0.10:80'   flows of one service
              vrctl apply -f networks.yaml        give the controller configuration
              vrctl get ports -o yaml             read it back

            ENVIRONMENT
              VROUTER_SOCKET       default of --socket
              VROUTER_CONTROLLER   default of --controller
              VROUTER_AGENT        default of --agent
              NO_COLOR             any value: no colours

            EXIT CODES
              0   done
              1   refused, failed, not found, different or unhealthy
              2   the command line is wrong
              3   a daemon cannot be reached
            """,
        version: productVersion,
        subcommands: [
            StatusCommand.self, VifCommand.self, NextHopCommand.self, RouteCommand.self, LabelCommand.self, VNICommand.self, QoSMapCommand.self,
            ForwardingClassCommand.self, FlowCommand.self, PolicyCommand.self, NATCommand.self,
            DropStatsCommand.self, MirrorCommand.self, VifDumpCommand.self, TablesCommand.self, WorkersCommand.self,
            ApplyCommand.self, GetCommand.self, DescribeCommand.self, DiffCommand.self, DeleteCommand.self,
            PortCommand.self, InstallAliasesCommand.self,
        ])

    @OptionGroup(title: "Where the daemons are") var connection: ConnectionOptions
}
