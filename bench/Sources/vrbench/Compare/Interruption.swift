import Dispatch
import Foundation
import Synchronization

/// Ends what was started here, and removes the folder, when this program is interrupted: children are in process groups of their own and would go on.
enum Interruption {
    private struct State {
        var children: Set<Int32> = []
        var folder: String?
        var sources: [any DispatchSourceSignal] = []
    }
    private static let state = Mutex(State())

    static func began(_ child: Int32) { state.withLock { _ = $0.children.insert(child) } }
    static func ended(_ child: Int32) { state.withLock { _ = $0.children.remove(child) } }

    /// From now on SIGINT, SIGTERM and SIGHUP end the children, remove `folder` and end this program.
    static func handle(folder: String) {
        state.withLock { state in
            state.folder = folder
            guard state.sources.isEmpty else { return }
            for number in [SIGINT, SIGTERM, SIGHUP] {
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler {
                    let (children, folder) = Self.state.withLock { ($0.children, $0.folder) }
                    for child in children { kill(child, SIGKILL) }
                    if let folder { try? FileManager.default.removeItem(atPath: folder) }
                    exit(128 + number)
                }
                source.activate()
                state.sources.append(source)
            }
        }
    }
}
