import Foundation

/// A child process. Foundation's `Process` learns of an end by a socket that all descendants inherit, so that it waits for daemons that a shell
/// has started; this one waits for the child.
final class Child {
    let processIdentifier: pid_t
    private var status: Int32?

    /// Output and errors go to files: a pipe that nobody reads would stop the writer.
    init(_ command: [String], input: String, output: String, errors: String, environment: [String: String], directory: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)

        // A test runner may ignore or block signals; what it starts is to begin as from a shell.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var arguments = (["env", "-C", directory] + command).map { strdup($0) } + [nil]
        var variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        var child: pid_t = 0
        let code = posix_spawnp(&child, "env", &actions, &attributes, &arguments, &variables)
        guard code == 0 else { throw Failure("cannot start \(command[0]): \(String(cString: strerror(code)))") }
        processIdentifier = child
    }

    /// Not waited for: nobody is interested any more.
    deinit { if exitStatus(waiting: false) == nil { signal(SIGKILL); _ = exitStatus(waiting: true) } }

    var isRunning: Bool { exitStatus(waiting: false) == nil }

    func signal(_ number: Int32) { if status == nil { kill(processIdentifier, number) } }

    /// The exit code as a shell says it; nil while it runs.
    func exitStatus(waiting: Bool) -> Int32? {
        if let status { return status }
        var word: Int32 = 0
        var answer: pid_t
        repeat { answer = waitpid(processIdentifier, &word, waiting ? 0 : WNOHANG) } while answer == -1 && errno == EINTR
        guard answer == processIdentifier else { return nil }
        status = word & 0x7f == 0 ? (word >> 8) & 0xff : 128 + (word & 0x7f)
        return status
    }
}
