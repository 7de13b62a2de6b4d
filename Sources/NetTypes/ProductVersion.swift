/// The version of all four programs, as `--version` and every status tell it.
public let productVersion = "0.1.0"
