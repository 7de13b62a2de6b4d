import Foundation

/// Why a test cannot go on, in words for the one who reads the log.
struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// How a command ended.
struct Outcome {
    /// As the shell says it; 124: it did not end in time.
    var status: Int32
    var output: String
    var errors: String

    var both: String { output + errors }
}

enum Shell {
    /// Runs a command to its end, at most `limit` seconds.
    static func run(
        _ command: [String], input: String? = nil, environment: [String: String] = [:], directory: String? = nil, limit: Int = 30
    ) throws -> Outcome {
        let scratch = try TemporaryDirectory()
        let words = try input.map { try scratch.write("input", $0) } ?? "/dev/null"
        // timeout(1) ends the whole process group, a command's own children with it.
        let child = try Child(
            ["timeout", "-k", "5", "\(limit)"] + command, input: words, output: scratch.path + "/output", errors: scratch.path + "/errors",
            environment: environment, directory: directory ?? Place.repository)
        let status = child.exitStatus(waiting: true) ?? -1
        return Outcome(status: status, output: scratch.text("output"), errors: scratch.text("errors"))
    }

    /// The output of a command that must end well.
    @discardableResult static func succeed(
        _ command: [String], input: String? = nil, environment: [String: String] = [:], directory: String? = nil, limit: Int = 30
    ) throws -> String {
        let outcome = try run(command, input: input, environment: environment, directory: directory, limit: limit)
        guard outcome.status == 0 else {
            throw Failure("\(command.joined(separator: " ")): exit code \(outcome.status)\n\(outcome.both.suffix(4000))")
        }
        return outcome.output
    }
}

/// A command that runs beside the test; ended by its process id, at the latest when nobody holds it.
final class Background {
    private let child: Child
    private let scratch: TemporaryDirectory
    private let command: [String]

    init(_ command: [String]) throws {
        self.command = command
        scratch = try TemporaryDirectory()
        child = try Child(
            command, input: "/dev/null", output: scratch.path + "/output", errors: scratch.path + "/errors", environment: [:],
            directory: Place.repository)
    }

    var isRunning: Bool { child.isRunning }
    var output: String { scratch.text("output") }
    var errors: String { scratch.text("errors") }

    /// Sends a signal and waits for the end; after ten seconds it is made to end.
    @discardableResult func end(_ signal: Int32 = SIGTERM) -> Outcome {
        child.signal(signal)
        do { try eventually("the end", within: 10) { !child.isRunning } } catch { child.signal(SIGKILL) }
        return Outcome(status: child.exitStatus(waiting: true) ?? -1, output: output, errors: errors)
    }

    /// Waits for it to end by itself.
    @discardableResult func ended(within seconds: Double) throws -> Outcome {
        try eventually("the end of \(command.joined(separator: " "))", within: seconds) { !child.isRunning }
        return Outcome(status: child.exitStatus(waiting: true) ?? -1, output: output, errors: errors)
    }
}

/// A directory under /tmp that goes away with its owner. The path is short: a socket address holds 107 octets.
final class TemporaryDirectory {
    let path = "/tmp/e2e-\(UInt32.random(in: 0 ... .max))"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func text(_ name: String) -> String { textOfFile("\(path)/\(name)") }

    @discardableResult func write(_ name: String, _ text: String) throws -> String {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }
}

/// The text of a file, with whatever is no UTF-8 replaced; empty when there is none.
func textOfFile(_ path: String) -> String { String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self) }

/// Asks until the answer is yes.
func eventually(_ what: String, within seconds: Double = 20, _ ask: () throws -> Bool) throws {
    _ = try eventually(what, within: seconds) { try ask() ? true : nil }
}

/// Asks until there is an answer. An error counts as none, and is told when time is up.
@discardableResult func eventually<Answer>(_ what: String, within seconds: Double = 20, _ ask: () throws -> Answer?) throws -> Answer {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var reason = ""
    while true {
        do {
            if let answer = try ask() { return answer }
            reason = ""
        } catch {
            reason = ": \(error)"
        }
        guard ContinuousClock.now < deadline else { throw Failure("\(what): not within \(seconds) s\(reason)") }
        Thread.sleep(forTimeInterval: 0.02)
    }
}
