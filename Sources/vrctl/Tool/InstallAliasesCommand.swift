import ArgumentParser
import Foundation

struct InstallAliasesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install-aliases",
        abstract: "Makes links named flow, vif, nh, rt, mpls, vxlan, dropstats, mirror and vifdump to this program.",
        discussion:
            "What is there and not a link to this program is left alone, and nothing is made.\n\nEXAMPLES\n  vrctl install-aliases /usr/local/bin")

    @Argument(help: "Directory for the links.") var directory: String
    @Option(help: ArgumentHelp("What the links point to; this program when absent.", valueName: "path")) var target: String?
    @OptionGroup var outputOptions: OutputOptions

    func run() throws {
        let target = try target ?? Self.ownPath()
        let links = try Self.install(in: directory, target: target)
        let context = Context.current
        switch outputOptions.output {
        case .json:
            context.output.write(
                (["links": .array(links.map { ["path": JSON($0.path), "action": JSON($0.isNew ? "created" : "unchanged")] })] as JSON).pretty + "\n")
        case .table: context.output.write(links.map { "\($0.path) -> \(target) \($0.isNew ? "created" : "unchanged")\n" }.joined())
        }
    }

    /// Looks at every name before it makes the first link: all or nothing.
    static func install(in directory: String, target: String) throws -> [(path: String, isNew: Bool)] {
        let files = FileManager.default
        var isDirectory: ObjCBool = false
        guard files.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw Failure.refused("\(directory) is not a directory; make it first")
        }
        let links = try CommandLineTool.classicNames.map { name -> (path: String, isNew: Bool) in
            let path = URL(fileURLWithPath: directory).appendingPathComponent(name).path
            if let destination = try? files.destinationOfSymbolicLink(atPath: path) {
                guard destination == target else {
                    throw Failure.refused("\(path) is a link to \(destination); remove it first, or choose another directory")
                }
                return (path, false)
            }
            guard !files.fileExists(atPath: path) else {
                throw Failure.refused("\(path) exists and is not a link; remove it first, or choose another directory")
            }
            return (path, true)
        }
        for link in links where link.isNew {
            do { try files.createSymbolicLink(atPath: link.path, withDestinationPath: target) } catch {
                throw Failure.refused("cannot make \(link.path): \(describe(error))")
            }
        }
        return links
    }

    private static func ownPath() throws -> String {
        #if os(Linux)
        if let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") { return path }
        #endif
        guard let path = Bundle.main.executablePath else { throw Failure.refused("cannot find out where this program is; name it with --target") }
        return URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    }
}
