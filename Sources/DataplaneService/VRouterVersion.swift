/// The version of `vrouter`, as `--version` and `GetStatus` tell it.
public enum VRouterVersion {
    public static let current = "0.1.0"
}
