public import ArgumentParser
public import Logging

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The command line of a daemon: what `vrouter`, `vrouter-agent` and `vrouter-controller` have in common.
///
/// Exit codes: 0 ended as asked · 1 could not start, or failed while running · 2 wrong usage, or a configuration that cannot be used.
/// systemd can tell by them what a restart would not mend (`RestartPreventExitStatus=2`).
public protocol DaemonCommand: AsyncParsableCommand {}

/// Why a daemon ends before it was asked to: lines for the operator, written to standard error after the daemon's name.
public struct DaemonFailure: Error, Hashable, Sendable {
    public var text: String
    public var code: Int32

    /// Could not start, or failed while running.
    public static func failed(_ text: String) -> DaemonFailure { DaemonFailure(text: text, code: 1) }
    /// A restart with the same configuration would end the same way.
    public static func badConfiguration(_ text: String) -> DaemonFailure { DaemonFailure(text: text, code: 2) }
}

extension DaemonCommand {
    public static var exitCodes: String {
        "Exit codes: 0 ended as asked; 1 could not start, or failed while running; 2 wrong usage or a configuration that cannot be used."
    }

    public static func main() async {
        raiseFileLimit()
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
        } catch let failure as DaemonFailure {
            complain("\(_commandName): \(failure.text)")
            exit(withError: ExitCode(failure.code))
        } catch let code as ExitCode {
            exit(withError: code)
        } catch {
            // Help and the version come as errors too; they are answers.
            let code = exitCode(for: error), text = fullMessage(for: error)
            if code == .success { print(text) } else { complain(text) }
            exit(withError: code == .validationFailure ? ExitCode(2) : code)
        }
    }

    /// As many files and connections as the system lets the process have: what it gives unasked, mostly 1024, is for programs that use select(2), and one that has none left is
    /// stopped by the runtime's own threads (libdispatch).
    private static func raiseFileLimit() {
        #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
        let resource = RLIMIT_NOFILE
        #endif
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(resource, &limit)
    }

    private static func complain(_ text: String) {
        let octets = Array((text + "\n").utf8)
        _ = write(STDERR_FILENO, octets, octets.count)
    }

    /// Everything the process logs goes to standard error, from this level on. Once, before the first logger is made.
    public static func startLogging(_ level: Logger.Level) -> Logger {
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        return Logger(label: _commandName)
    }
}
