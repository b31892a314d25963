"""The base of plugins, and those that come with the distribution."""
