import Foundation
import GRDB
public import Overlay
public import StrictYAML

/// The configuration on disk: one SQLite file, write-ahead log, every commit flushed (`synchronous=FULL`), so that what was answered with
/// success survives a power cut. All of it is also in memory, as `model`; reading asks the disk for nothing.
///
/// A change is planned on a copy of the model, written in one transaction, and only then becomes the model: there is no moment at which
/// disk and memory differ for anyone who asks.
///
/// Thread-safety: none; its owner is an actor. Writing blocks for as long as the disk takes.
public final class ConfigStore {
    public private(set) var model: ConfigModel
    private let database: DatabaseQueue

    /// Opens or creates the file. Throws `StoreError`.
    public init(path: String) throws(StoreError) {
        do {
            var configuration = GRDB.Configuration()
            configuration.journalMode = .wal
            configuration.prepareDatabase { database in
                try database.execute(sql: "PRAGMA synchronous = FULL")
                // The model in memory is the truth for those who ask: nobody else may write the file meanwhile.
                try database.execute(sql: "PRAGMA locking_mode = EXCLUSIVE")
            }
            database = try DatabaseQueue(path: path, configuration: configuration)
            let migrator = Self.migrator
            if try database.read(migrator.hasBeenSuperseded) {
                throw StoreError(path: path, "was written by a newer version of this program")
            }
            try migrator.migrate(database)
            model = try Self.load(database)
        } catch let error as StoreError {
            throw error
        } catch {
            throw StoreError(path: path, Self.describe(error))
        }
    }

    /// Gives the file back to others. Later changes fail; the model stays.
    public func close() { try? database.close() }

    public enum ApplyError: Error {
        case config(ConfigError)
        case store(StoreError)
    }

    /// What `apply` would do, without doing it.
    public func plan(_ located: [YAMLDocuments.Located]) throws(ConfigError) -> [ConfigModel.Change] {
        var next = model
        return try next.apply(located, makeUID: Self.makeUID)
    }

    public func apply(_ located: [YAMLDocuments.Located]) throws(ApplyError) -> [ConfigModel.Change] {
        var next = model
        let changes: [ConfigModel.Change]
        do { changes = try next.apply(located, makeUID: Self.makeUID) } catch { throw .config(error) }
        do { try write(changes, next) } catch { throw .store(error) }
        return changes
    }

    public enum DeleteError: Error {
        case refused(ConfigModel.DeleteError)
        case store(StoreError)
    }

    public func delete(_ key: ObjectKey) throws(DeleteError) -> ConfigModel.Change { try delete([key])[0] }

    /// All of them, or none.
    public func delete(_ keys: [ObjectKey]) throws(DeleteError) -> [ConfigModel.Change] {
        var next = model
        let changes: [ConfigModel.Change]
        do { changes = try next.delete(keys) } catch { throw .refused(error) }
        do { try write(changes, next) } catch { throw .store(error) }
        return changes
    }

    // MARK: - Disk

    private static func makeUID() -> String { UUID().uuidString.lowercased() }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 objects") { database in
            try database.execute(
                sql: """
                    CREATE TABLE object (kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;
                    CREATE TABLE counter (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
                    """)
        }
        return migrator
    }

    private static func load(_ database: DatabaseQueue) throws -> ConfigModel {
        let (rows, lastVNI) = try database.read { database in
            (
                try Row.fetchAll(database, sql: "SELECT kind, name, body FROM object"),
                try Int64.fetchOne(database, sql: "SELECT value FROM counter WHERE name = 'lastVNI'") ?? 0
            )
        }
        var objects: [ConfigObject] = []
        for row in rows {
            let kind: String = row[0], name: String = row[1], body: String = row[2]
            do { objects.append(try ConfigObject(json: body)) } catch {
                throw StoreError(path: database.path, "holds an object that cannot be read: \(kind)/\(name): \(error)")
            }
        }
        return ConfigModel(objects: objects, lastVNI: UInt32(clamping: lastVNI))
    }

    private func write(_ changes: [ConfigModel.Change], _ next: ConfigModel) throws(StoreError) {
        guard changes.contains(where: { $0.action != .unchanged }) else { return }
        do {
            try database.write { database in
                for change in changes where change.action != .unchanged {
                    if let new = change.new {
                        try database.execute(
                            sql: "INSERT OR REPLACE INTO object (kind, name, body) VALUES (?, ?, ?)",
                            arguments: [change.key.kind.rawValue, change.key.name, new.json])
                    } else {
                        try database.execute(
                            sql: "DELETE FROM object WHERE kind = ? AND name = ?", arguments: [change.key.kind.rawValue, change.key.name])
                    }
                }
                try database.execute(sql: "INSERT OR REPLACE INTO counter (name, value) VALUES ('lastVNI', ?)", arguments: [Int64(next.lastVNI)])
            }
        } catch {
            throw StoreError(path: database.path, Self.describe(error))
        }
        model = next
    }

    private static func describe(_ error: any Error) -> String {
        guard let error = error as? DatabaseError else { return "\(error)" }
        if error.resultCode == .SQLITE_BUSY { return "is in use by another process" }
        return
            "cannot be used: \(error.message ?? "SQLite error \(error.resultCode.rawValue)"); does its directory exist, and may this user write there?"
    }
}

/// Why the store cannot be opened, read or written.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    public var path: String
    public var reason: String
    init(path: String, _ reason: String) { self.path = path; self.reason = reason }
    public var description: String { "store \(path) \(reason)" }
}
